"""Slow and stalled bodies, with a window so short that no test waits."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from litestar import Request

from protocol.errors import ErrorCode
from server.refusal import Refusal
from server.routes.bodies import BODY_WINDOW_BYTES, read_body
from tests.server.routes.asgi_call import piece

LARGE = ErrorCode.BODY_TOO_LARGE


def request_of(messages: Iterable[dict[str, Any]], pause_s: float = 0) -> Request[Any, Any, Any]:
    coming = iter(messages)

    async def receive() -> Any:
        await asyncio.sleep(pause_s)
        message = next(coming, None)
        if message is None:
            await asyncio.Event().wait()
        return message

    return Request({"type": "http", "headers": [], "method": "PUT"}, receive=receive)  # type: ignore[arg-type]


async def test_a_stalled_body_is_cut_off() -> None:
    with pytest.raises(Refusal) as caught:
        await read_body(request_of([piece(b"x", more=True)]), 1_000, LARGE, window_s=0.01)
    assert caught.value.code is ErrorCode.BODY_TOO_SLOW
    assert caught.value.closes_connection


async def test_a_body_that_trickles_is_cut_off_however_often_it_moves() -> None:
    endless = (piece(b"x", more=True) for _ in iter(int, 1))
    with pytest.raises(Refusal) as caught:
        await read_body(request_of(endless, pause_s=0.001), 10**9, LARGE, window_s=0.05)
    assert caught.value.code is ErrorCode.BODY_TOO_SLOW


async def test_a_body_that_keeps_the_rate_is_taken_however_long_it_takes() -> None:
    block = b"x" * BODY_WINDOW_BYTES
    messages = [*(piece(block, more=True) for _ in range(20)), piece(b"", more=False)]
    body = await read_body(request_of(messages, pause_s=0.01), 10**9, LARGE, window_s=0.1)
    assert len(body) == 20 * BODY_WINDOW_BYTES
