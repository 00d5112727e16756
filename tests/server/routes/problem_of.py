"""What every refusal on the wire must be."""

import httpx
import msgspec

from protocol.errors import STATUS_OF_CODE, ErrorCode, Problem


def problem_of(response: httpx.Response) -> Problem:
    """The problem, after the checks that every one must pass."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    problem = msgspec.json.decode(response.content, type=Problem)
    assert response.status_code == problem.status == STATUS_OF_CODE[ErrorCode(problem.code)]
    assert problem.type == f"urn:holdfast:problem:{problem.code}"
    assert problem.detail
    assert problem.next_step
    assert problem.request_id == response.headers["x-request-id"]
    assert ("retry-after" in response.headers) == (problem.status in (429, 503) or problem.code == "internal-error")
    return problem
