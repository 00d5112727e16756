"""Slow and stalled bodies, with a window so short that no test waits."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest

from protocol.errors import ErrorCode
from server.refusal import Refusal
from server.routes.bodies import BODY_WINDOW_BYTES, BodyHead, read_body
from tests.server.routes.asgi_call import piece

LARGE = ErrorCode.BODY_TOO_LARGE


NO_LENGTH = BodyHead("application/octet-stream", "identity", None)


def coming(messages: Iterable[dict[str, Any]], pause_s: float = 0) -> Callable[[], Awaitable[Any]]:
    left = iter(messages)

    async def receive() -> Any:
        await asyncio.sleep(pause_s)
        message = next(left, None)
        if message is None:
            await asyncio.Event().wait()
        return message

    return receive


async def test_a_stalled_body_is_cut_off() -> None:
    with pytest.raises(Refusal) as caught:
        await read_body(coming([piece(b"x", more=True)]), NO_LENGTH, 1_000, LARGE, window_s=0.01)
    assert caught.value.code is ErrorCode.BODY_TOO_SLOW
    assert caught.value.closes_connection


async def test_a_body_that_trickles_is_cut_off_however_often_it_moves() -> None:
    endless = (piece(b"x", more=True) for _ in iter(int, 1))
    with pytest.raises(Refusal) as caught:
        await read_body(coming(endless, pause_s=0.001), NO_LENGTH, 10**9, LARGE, window_s=0.05)
    assert caught.value.code is ErrorCode.BODY_TOO_SLOW


async def test_a_body_that_keeps_the_rate_is_taken_however_long_it_takes() -> None:
    block = b"x" * BODY_WINDOW_BYTES
    messages = [*(piece(block, more=True) for _ in range(20)), piece(b"", more=False)]
    body = await read_body(coming(messages, pause_s=0.04), NO_LENGTH, 10**9, LARGE, window_s=0.5)
    assert len(body) == 20 * BODY_WINDOW_BYTES
