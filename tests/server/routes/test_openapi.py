"""The API's description says what the routes do."""

import re

from protocol.errors import STATUS_OF_CODE, ErrorCode
from server.routes.openapi import CALLS, describe_api
from tests.server.stack import Stack

# Addresses that are one call under several spellings, or no part of the API.
_PAGE = {"/", "/index.html", "/ops", "/{name}", "/assets/{_name}"}
_SPELLINGS = {"/api/chunks": "/api/chunks/{chunkId}", "/api/chunks/{_chunk_id}": "/api/chunks/{chunkId}"}


async def test_the_table_of_calls_is_exactly_the_routes(memory_stack: Stack) -> None:
    served = set()
    for route in memory_stack.app.litestar.routes:
        path = _SPELLINGS.get(route.path_format, route.path_format)
        for method in set(getattr(route, "methods", [])) - {"OPTIONS", "HEAD"}:
            if path not in _PAGE and (method, path) != ("GET", "/api/chunks/upload"):
                served.add((method, path))
    assert served == {(call.method, call.path) for call in CALLS}


async def test_the_document_is_served_and_every_reference_in_it_leads_somewhere(memory_stack: Stack) -> None:
    document = await memory_stack.client.get("/schema/openapi.json")
    assert document.json() == describe_api()
    names = set(describe_api()["components"]["schemas"])
    assert set(re.findall(r"#/components/schemas/(\w+)", document.text)) <= names


def test_every_problem_code_stands_in_some_call_but_those_that_no_call_gives() -> None:
    given = {code for call in CALLS for code in call.problems}
    # Nothing limits rates yet.
    assert set(ErrorCode) - given == {ErrorCode.TOO_MANY_REQUESTS}


def test_an_answer_of_each_problem_status_is_described() -> None:
    paths = describe_api()["paths"]
    for call in CALLS:
        described = set(paths[call.path][call.method.lower()]["responses"])
        assert {str(STATUS_OF_CODE[code]) for code in call.problems} <= described
