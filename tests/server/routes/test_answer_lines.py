"""Lines of the log about requests: which request, which recording, what came of it; never bytes or secrets."""

import logging

import pytest

from server.logging_setup import JsonFormatter, list_secrets
from server.settings import read_settings
from tests.server.stack import Stack

SECRET = "a-secret-that-nobody-may-read"
BYTES = "the bytes of somebody's voice"


async def test_an_answers_line_carries_request_and_recording_id(
    memory_stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    await memory_stack.register()
    with caplog.at_level(logging.DEBUG, "server"):
        answer = await memory_stack.client.get(memory_stack.path, headers={"X-Request-Id": "of-mine"})
    (line,) = [record for record in caplog.records if record.getMessage() == "answered"]
    assert vars(line)["request_id"] == answer.headers["x-request-id"] == "of-mine"
    assert vars(line)["recording_id"] == str(memory_stack.recording_id)
    assert (vars(line)["method"], vars(line)["status"]) == ("GET", 200)


async def test_at_level_info_only_failures_are_lines(memory_stack: Stack, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "server"):
        await memory_stack.client.get("/api/recordings")
        assert [record for record in caplog.records if record.getMessage() == "answered"] == []
        memory_stack.app.begin_drain()
        await memory_stack.client.get("/api/health/ready")
    assert [vars(record)["status"] for record in caplog.records if record.getMessage() == "answered"] == [503]


async def test_no_line_holds_bytes_of_a_chunk_or_a_secret(
    memory_stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    settings = read_settings({"HOLDFAST_DATABASE_URL": f"postgresql://u:{SECRET}@db/x"})
    formatter = JsonFormatter(list_secrets(settings))
    with caplog.at_level(logging.DEBUG):
        for data in (BYTES, "another content"):
            await memory_stack.client.post("/api/chunks/upload", json={"chunkId": "a", "data": data})
        await memory_stack.client.post("/api/chunks/upload", content=f'{{"chunkId": "b", "data": "{BYTES}'.encode())
        await memory_stack.client.get("/api/findings?kind=odd", headers={"Authorization": f"Bearer {SECRET}"})
        logging.getLogger("server.test").error("cannot connect", extra={"reason": f"postgresql://u:{SECRET}@db/x"})
    text = "\n".join(formatter.format(record) for record in caplog.records if record.name.startswith("server"))
    assert "answered" in text and "cannot connect" in text
    assert BYTES not in text
    assert SECRET not in text
