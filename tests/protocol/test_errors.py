"""Every code has a status and a verdict, and a client never gives up for a reason that may pass (I10)."""

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import PROBLEM_CHUNKS_MAX, STATUS_OF_CODE, ErrorCode, Problem, is_final

FINAL = {
    ErrorCode.CHUNK_DIFFERS,
    ErrorCode.CHUNK_TOO_LARGE,
    ErrorCode.RECORDING_DIFFERS,
    ErrorCode.RECORDING_COMPLETE,
    ErrorCode.MANIFEST_DIFFERS,
    ErrorCode.RECORDING_DELETED,
}


@pytest.mark.parametrize("code", ErrorCode)
def test_every_code_has_its_status_and_its_verdict(code: ErrorCode) -> None:
    assert 400 <= STATUS_OF_CODE[code] <= 599
    assert is_final(code.value) == (code in FINAL)


@pytest.mark.parametrize("code", ErrorCode)
def test_a_code_is_written_in_one_way(code: ErrorCode) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code.value)
    assert code.name == code.value.replace("-", "_").upper()


def test_what_may_pass_is_never_final() -> None:
    for code, status in STATUS_OF_CODE.items():
        if status in (408, 429) or status >= 500:
            assert not is_final(code)


@given(st.text(max_size=40))
def test_a_code_this_version_does_not_know_is_tried_again(code: str) -> None:
    assert is_final(code) == (code in {final.value for final in FINAL})


def test_an_older_client_reads_a_newer_servers_problem() -> None:
    newer = (
        b'{"type":"urn:holdfast:problem:quota-spent","title":"Quota spent","status":402,"code":"quota-spent",'
        b'"detail":"no more","instance":"/x","tenants":[{"id":1}]}'
    )
    problem = msgspec.json.decode(newer, type=Problem)
    assert (problem.status, problem.code, problem.chunks, problem.next_step) == (402, "quota-spent", [], "")
    assert not is_final(problem.code)


def test_two_problems_share_no_list() -> None:
    one, other = (Problem(type="t", title="", status=400, code="x", detail="") for _ in range(2))
    one.chunks.append(1)
    assert other.chunks == []


def test_a_full_list_of_chunks_stays_a_small_body() -> None:
    problem = Problem(
        type="t", title="", status=409, code="x", detail="", chunks=[99_999_999 - n for n in range(PROBLEM_CHUNKS_MAX)]
    )
    assert len(msgspec.json.encode(problem)) < 16 * 1024
