"""The tables of states: every state can be left or is an end, every step has a use, and a missing pair is an error."""

import pytest

from client_py.core.states import (
    CHUNK_STEPS,
    RECORDING_STEPS,
    ChunkLife,
    ChunkStep,
    ImpossibleStepError,
    RecordingLife,
    RecordingStep,
    after_chunk_step,
    after_recording_step,
)

CHUNK_ENDS = {ChunkLife.CLEARED}
CHUNK_BEGINNINGS = {ChunkLife.PLANNED, ChunkLife.PENDING}


def test_every_chunk_state_is_reached_and_only_ends_are_never_left() -> None:
    assert {state for state, _ in CHUNK_STEPS} == set(ChunkLife) - CHUNK_ENDS
    assert set(CHUNK_STEPS.values()) | CHUNK_BEGINNINGS == set(ChunkLife)
    assert {step for _, step in CHUNK_STEPS} == set(ChunkStep)


def test_i1_only_a_verified_chunk_can_be_cleared() -> None:
    assert [state for (state, step) in CHUNK_STEPS if step is ChunkStep.CLEAR] == [ChunkLife.VERIFIED]
    assert {state for (state, _), after in CHUNK_STEPS.items() if after is ChunkLife.CLEARED} == {ChunkLife.VERIFIED}
    assert {step for (_, step), after in CHUNK_STEPS.items() if after is ChunkLife.VERIFIED} == {
        ChunkStep.FOUND,
        ChunkStep.FAILED,  # of asking again about one that was verified before
    }


def test_i10_whatever_fails_can_be_tried_again() -> None:
    for (_, step), after in CHUNK_STEPS.items():
        if step is ChunkStep.FAILED:
            assert any(state is after and again in (ChunkStep.SEND, ChunkStep.ASK) for state, again in CHUNK_STEPS)


def test_every_chunk_that_is_not_at_an_end_can_still_become_verified_or_parked() -> None:
    for start in set(ChunkLife) - CHUNK_ENDS:
        reached = {start}
        while True:
            further = reached | {after for (state, _), after in CHUNK_STEPS.items() if state in reached}
            if further == reached:
                break
            reached = further
        assert {ChunkLife.VERIFIED, ChunkLife.PARKED} <= reached


def test_a_parked_chunk_is_left_only_by_the_persons_wish_and_is_asked_about_first() -> None:
    left = {step: after for (state, step), after in CHUNK_STEPS.items() if state is ChunkLife.PARKED}
    assert left == {ChunkStep.RETRY: ChunkLife.PENDING}


def test_every_recording_state_is_reached_and_what_is_gone_can_only_be_deleted() -> None:
    beginnings = {RecordingLife.LOCKING, RecordingLife.RECOVERING}
    assert {state for state, _ in RECORDING_STEPS} == set(RecordingLife)
    assert [step for state, step in RECORDING_STEPS if state is RecordingLife.GONE] == [RecordingStep.DELETE]
    assert set(RECORDING_STEPS.values()) | beginnings == set(RecordingLife)
    assert {step for _, step in RECORDING_STEPS} == set(RecordingStep)


def test_a_step_that_the_table_does_not_have_is_an_error() -> None:
    with pytest.raises(ImpossibleStepError, match="cleared cannot take the step send"):
        after_chunk_step(ChunkLife.CLEARED, ChunkStep.SEND)
    with pytest.raises(ImpossibleStepError, match="complete cannot take the step record"):
        after_recording_step(RecordingLife.COMPLETE, RecordingStep.RECORD)
