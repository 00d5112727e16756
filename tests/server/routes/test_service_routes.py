"""What surrounds the calls: addresses and methods that do not exist, health, metrics, headers, authorisation."""

import asyncio
from typing import Any

import pytest

from protocol.errors import ErrorCode
from server import authorisation, readiness
from server.envelope import CONTENT_SECURITY_POLICY
from server.installation import establish_installation
from server.refusal import Refusal
from server.settings import Settings
from server.storage.blob_store import BlobStoreUnavailableError
from server.storage.ledger import LedgerUnavailableError
from tests.server.faulty_stores import FaultyBlobStore, FaultyLedger
from tests.server.routes.problem_of import problem_of
from tests.server.routes.wire_client import exchange, request_of, served_on_a_socket
from tests.server.stack import Stack, running_stack


@pytest.mark.parametrize("path", ["/api", "/api/nothing", "/nothing", "/assets/none.js", "/api/recordings/x/nothing"])
async def test_an_address_that_does_not_exist_is_not_found(memory_stack: Stack, path: str) -> None:
    assert problem_of(await memory_stack.client.get(path)).code == "not-found"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/api/recordings", "POST"),
        ("PUT", "/api/chunks/upload", "POST"),
        ("POST", "/api/chunks/x", "GET"),
        ("POST", "/", "GET"),
    ],
)
async def test_a_method_that_does_not_exist_says_which_do(
    memory_stack: Stack, method: str, path: str, allowed: str
) -> None:
    response = await memory_stack.client.request(method, path)
    assert problem_of(response).code == "method-not-allowed"
    assert allowed in response.headers["allow"]


@pytest.mark.parametrize("path", ["/", "/api/health/live", "/nothing", "/api/recordings/x", "/schema/openapi.json"])
async def test_every_answer_carries_a_request_id_and_the_security_headers(memory_stack: Stack, path: str) -> None:
    headers = (await memory_stack.client.get(path)).headers
    assert headers["x-request-id"]
    assert headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert "unsafe-eval" not in CONTENT_SECURITY_POLICY.replace("'wasm-unsafe-eval'", "")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cache-control"]


async def test_a_sane_request_id_is_kept_and_another_is_replaced(memory_stack: Stack) -> None:
    get = memory_stack.client.get
    kept = await get("/nothing", headers={"X-Request-Id": "proxy-1.2_3"})
    assert kept.headers["x-request-id"] == kept.json()["request_id"] == "proxy-1.2_3"
    replaced = await get("/nothing", headers={"X-Request-Id": "a b\t<script>"})
    assert "script" not in replaced.headers["x-request-id"]


async def test_ready_says_ok_of_every_part(stack: Stack) -> None:
    assert (await stack.client.get("/api/health/live")).json()["status"] == "live"
    response = await stack.client.get("/api/health/ready")
    assert response.status_code == 200
    assert response.json() == {
        "status": "ready",
        "checks": {"bucket": "ok", "ledger": "ok", "installation": "ok", "disk": "ok", "process": "ok"},
    }


@pytest.mark.parametrize("ill", ["bucket", "ledger", "installation", "disk", "process"])
async def test_ready_says_which_part_is_ill_and_what_to_do(
    memory_stack: Stack, ill: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = memory_stack
    assert isinstance(stack.store, FaultyBlobStore)
    assert isinstance(stack.ledger, FaultyLedger)
    match ill:
        case "bucket":
            stack.store.get_fault = BlobStoreUnavailableError("the bucket is away")
        case "ledger":
            stack.ledger.fault = LedgerUnavailableError("the ledger is away")
        case "installation":
            stack.ledger.installation_id = None
        case "disk":
            monkeypatch.setattr(readiness, "DISK_FREE_BYTES_MIN", 1 << 60)
            stack.parts.settings.data_dir.mkdir(exist_ok=True)
        case "process":
            stack.app.begin_drain()

    response = await stack.client.get("/api/health/ready")

    assert (response.status_code, response.json()["status"]) == (503, "not-ready")
    assert response.json()["checks"][ill] != "ok"
    assert (await stack.client.get("/api/health/live")).status_code == 200


async def test_metrics_count_answers_refusals_and_receipts(memory_stack: Stack) -> None:
    stack = memory_stack
    for _ in range(2):
        await stack.client.post("/api/chunks/upload", json={"chunkId": "a", "data": "data"})
    await stack.client.post("/api/chunks/upload", json={"chunkId": "a", "data": "other"})

    response = await stack.client.get("/metrics")
    while "holdfast_installation_matched 1.0" not in response.text:  # written down from time to time
        await asyncio.sleep(0.01)
        response = await stack.client.get("/metrics")

    assert response.headers["content-type"].startswith("text/plain")
    assert response.headers["content-type"].count("charset") == 1
    lines = set(response.text.splitlines())
    assert 'holdfast_chunks_acknowledged_total{kind="new"} 1.0' in lines
    assert 'holdfast_chunks_acknowledged_total{kind="again"} 1.0' in lines
    assert "holdfast_chunk_bytes_acknowledged_total 4.0" in lines
    assert 'holdfast_problems_total{code="chunk-differs"} 1.0' in lines
    assert 'holdfast_http_requests_total{method="POST",route="/api/chunks/upload",status="200"} 2.0' in lines
    assert "holdfast_waiting_bytes 0.0" in lines
    assert 'holdfast_flush_seconds_count{step="acknowledge"} 1.0' in lines
    assert "holdfast_flush_chunks_sum 1.0" in lines


async def test_an_address_does_not_become_a_label(memory_stack: Stack) -> None:
    await memory_stack.client.get("/nothing/of/mine")
    await memory_stack.client.get(memory_stack.path)
    text = (await memory_stack.client.get("/metrics")).text
    assert "of/mine" not in text
    assert str(memory_stack.recording_id) not in text


def _refuse(_scope: Any) -> None:
    raise Refusal(ErrorCode.TOO_MANY_REQUESTS, "not you", next_step="Go away.", retry_after_s=1)


async def test_one_function_authorises_every_route(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authorisation, "authorise", _refuse)
    ledger, store = FaultyLedger(), FaultyBlobStore()
    await establish_installation(ledger, store)
    async with running_stack(settings, ledger, store) as stack:
        for route in stack.app.litestar.routes:
            for method in getattr(route, "methods", []):
                if method == "OPTIONS":
                    continue
                path = route.path_format.replace("{", "").replace("}", "")
                response = await stack.client.request(method, path)
                assert response.status_code == 429, (method, path)
        await stack.parts.installation.require()
        async with served_on_a_socket(stack) as port:
            told = await exchange(port, request_of("a", "data", "Connection: close"))
        assert told.startswith(b"HTTP/1.1 429 "), "the hot route passes the framework by, not this function"
