"""The bound on bodies in memory."""

import pytest

from protocol.errors import ErrorCode
from server.ingest.waiting import Waiting
from server.refusal import Refusal


def test_take_refuses_past_the_bytes_and_past_the_bodies() -> None:
    waiting = Waiting(bytes_max=100, chunks_max=2)
    with waiting.take(60):
        with pytest.raises(Refusal) as caught:
            waiting.take(41)
        assert caught.value.code is ErrorCode.OVERLOADED
        assert caught.value.retry_after_s
        with waiting.take(40), pytest.raises(Refusal):
            waiting.take(0)
    assert (waiting.byte_count, waiting.chunk_count) == (0, 0)


def test_a_place_taken_over_outlives_the_request() -> None:
    waiting = Waiting(bytes_max=100, chunks_max=2)
    with waiting.take(60) as place:
        place.shrink(10)
        place.take_over()
    assert (waiting.byte_count, waiting.chunk_count) == (10, 1)
    place.give_back()
    assert (waiting.byte_count, waiting.chunk_count) == (0, 0)


def test_draining_takes_nothing_new() -> None:
    waiting = Waiting(bytes_max=100, chunks_max=2)
    waiting.begin_drain()
    with pytest.raises(Refusal) as caught:
        waiting.take(1)
    assert caught.value.code is ErrorCode.DRAINING
