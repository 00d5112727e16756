"""The one exception by which any layer of the server refuses a call: an error code and words.

It knows no HTTP; server/problems.py renders it as `application/problem+json`.
"""

from collections.abc import Mapping, Sequence

from protocol.errors import ErrorCode


class Refusal(Exception):  # noqa: N818 - an answer, not a fault
    """What was wrong and expected (`detail`), what to do next (`next_step`), and the chunk indexes concerned.

    `retry_after_s` becomes `Retry-After`, for codes that ask to come back later. `closes_connection`:
    what is still coming of the body is not worth reading. `headers` are those that the code asks for.
    """

    def __init__(
        self,
        code: ErrorCode,
        detail: str,
        *,
        next_step: str = "",
        chunks: Sequence[int] = (),
        retry_after_s: int | None = None,
        closes_connection: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.next_step = next_step
        self.chunks = list(chunks)
        self.retry_after_s = retry_after_s
        self.closes_connection = closes_connection
        self.headers = dict(headers or {})
