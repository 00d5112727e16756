"""Bad input to every call of the API's description: its own code, a sentence that helps, and nothing is stored."""

import hashlib
from collections.abc import AsyncIterator
from copy import deepcopy
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from protocol.checksums import format_content_digest
from protocol.errors import ErrorCode
from protocol.limits import CHUNK_MAX_BYTES
from server.routes.openapi import BYTES, CALLS, Call, describe_api
from server.storage.keys import new_uuid7
from server.storage.memory_ledger import MemoryLedger
from tests.server.media.recorded import record
from tests.server.media.recorded_recording import record_take
from tests.server.routes.bad_forms import BAD_FORMS, HARMLESS, BadBody, bad_bodies
from tests.server.routes.problem_of import problem_of
from tests.server.stack import Stack

_BODY = b"a chunk"
_DIGEST = format_content_digest(hashlib.sha256(_BODY).digest())


def parameters_of(call: Call) -> list[tuple[str, str]]:
    described = describe_api()["paths"][call.path][call.method.lower()]["parameters"]
    return [(parameter["in"], parameter["name"]) for parameter in described]


class Good:
    """A request that each call takes as it is, of a recording that is complete and whose media are made."""

    def __init__(self, stack: Stack, object_id: str) -> None:
        self.stack = stack
        self.path = {
            "recording_id": str(stack.recording_id),
            "chunk_index": "0",
            "chunkId": "loose-1",
            "object_id": object_id,
        }
        self.header = {"Content-Digest": _DIGEST, "Chunk-Run": "0"}
        self.query = {"chunk_id": "loose-1"}

    def body(self, call: Call) -> Any:
        if call.body is BYTES:
            return _BODY
        claim = {"chunk_index": 0, "sha256": "0" * 64}
        entry = {**claim, "run": 0, "size": 7}
        bodies: dict[str, Any] = {
            "RecordingRegistration": {
                "recording_id": str(new_uuid7()),
                "mime_type": "audio/webm",
                "started_at": "2026-01-01T00:00:00Z",
                "title": "A take",
            },
            "RecordingTitle": {"title": "Another"},
            "VerifyRequest": {"chunks": [claim]},
            "Manifest": {"runs": [{"run": 0, "mime_type": "audio/webm"}], "chunks": [entry], "ended": "stopped"},
            "LooseChunk": {"chunkId": "loose-2", "data": "x"},
        }
        return None if call.body is None else bodies[call.body.__name__]

    async def send(self, call: Call, bad: tuple[str, str, str] | None = None, body: BadBody | None = None) -> Any:
        """The call as it should be, but for one parameter (place, name, value) or the body."""
        given = {"path": dict(self.path), "header": {}, "query": {}}
        for place, name in parameters_of(call):
            if name in vars(self)[place]:
                given[place][name] = vars(self)[place][name]
        if bad is not None:
            given[bad[0]][bad[1]] = bad[2]
        path = call.path.format(**given["path"])
        query = urlencode(given["query"], quote_via=quote)
        content = self.body(call) if body is None else body.content
        headers = given["header"] | ({} if body is None else body.headers)
        how = {"content": content} if isinstance(content, bytes) else {"json": content}
        if isinstance(content, bytes) and call.body not in (None, BYTES):
            headers = {"content-type": "application/json"} | headers
        return await self.stack.client.request(
            call.method, f"{path}?{query}" if query else path, headers=headers, **({} if content is None else how)
        )

    async def stored(self) -> Any:
        """All that bucket and ledger hold."""
        ledger = self.stack.ledger
        assert isinstance(ledger, MemoryLedger)
        rows = [row for recording_id in ledger.recordings for row in await self.stack.rows(recording_id)]
        return deepcopy((await self.stack.keys(), ledger.recordings, ledger.objects, rows, ledger.findings))


@pytest.fixture
async def good(memory_stack: Stack, tmp_path: Path) -> AsyncIterator[Good]:
    take = await record_take(
        memory_stack, tmp_path / "making", record(1.0, video="libvpx"), mime_type="video/webm;codecs=vp8,opus"
    )
    await take.make()
    await memory_stack.client.post("/api/chunks/upload", json={"chunkId": "loose-1", "data": "x"})
    (located,) = (await memory_stack.ledger.find_chunks(memory_stack.recording_id, [0])).values()
    yield Good(memory_stack, str(located.object.object_id))


def test_every_parameter_of_every_call_has_its_bad_forms_or_can_have_none() -> None:
    described = {parameter for call in CALLS for parameter in parameters_of(call)}
    assert described == set(BAD_FORMS) | HARMLESS


async def test_every_bad_parameter_gets_its_code_and_a_sentence_that_helps_and_nothing_is_stored(good: Good) -> None:
    before = await good.stored()
    wrong: list[str] = []
    for call in CALLS:
        for place, name in parameters_of(call):
            for value, code in BAD_FORMS.get((place, name), []):
                if call.method == "DELETE" and code is ErrorCode.RECORDING_UNKNOWN:
                    continue  # so that it never comes: an unknown recording is deleted for ever, too
                problem = problem_of(await good.send(call, bad=(place, name, value)))
                if problem.code != code or code not in call.problems or not is_helpful(problem.detail, name, value):
                    sent = f"{call.method} {call.path} {name}={value[:40]!r}"
                    wrong.append(f"{sent}: expected {code}, got {problem.code}: {problem.detail}")
    assert not wrong, "\n".join(wrong)
    assert await good.stored() == before


async def test_every_bad_body_gets_its_code_and_names_what_is_wrong_in_it_and_nothing_is_stored(good: Good) -> None:
    before = await good.stored()
    components = describe_api()["components"]["schemas"]
    wrong: list[str] = []
    for call in CALLS:
        if call.body in (None, BYTES):
            continue
        schema = {"$ref": f"#/components/schemas/{call.body.__name__}"}
        bodies = list(bad_bodies(call.path, good.body(call), schema, components))
        assert len(bodies) > 6, f"nothing of the body of {call.path} was spoiled"
        for bad in bodies:
            problem = problem_of(await good.send(call, body=bad))
            if problem.code != bad.code or bad.code not in call.problems or bad.names not in problem.detail:
                wrong.append(f"{call.method} {call.path} {bad.what}: {problem.code}: {problem.detail}")
    assert not wrong, "\n".join(wrong)
    assert await good.stored() == before


@pytest.mark.parametrize(
    ("body", "code"), [(b"", ErrorCode.CHUNK_EMPTY), (bytes(CHUNK_MAX_BYTES + 1), ErrorCode.CHUNK_TOO_LARGE)]
)
async def test_a_chunk_of_a_size_that_no_chunk_has_is_refused_and_nothing_is_stored(
    good: Good, body: bytes, code: ErrorCode
) -> None:
    before = await good.stored()
    (call,) = (call for call in CALLS if call.body is BYTES)
    digest = format_content_digest(hashlib.sha256(body).digest())
    answer = await good.send(call, body=BadBody("size", body, code, headers={"Content-Digest": digest}))
    assert problem_of(answer).code == code
    assert await good.stored() == before


async def test_a_condition_that_names_nothing_known_is_no_error(good: Good) -> None:
    for call in CALLS:
        for place, name in parameters_of(call):
            if (place, name) in HARMLESS:
                assert (await good.send(call, bad=(place, name, '"nonsense"'))).status_code == 200, (call.path, name)


def is_helpful(detail: str, name: str, value: str) -> bool:
    """It says what was wrong: the parameter by its name, however spelt, or the value that was sent."""
    return _bare(name) in _bare(detail) or (value != "" and value[:32] in detail)


def _bare(words: str) -> str:
    return words.lower().replace("_", "").replace(" ", "")
