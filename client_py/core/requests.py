"""The requests under way: at most four, fewer on a line that does not deliver.

A request is known by a number that only memory holds (I9). Its limit is generous to a slow line
and doubles after each timeout; then, too, the window shrinks to one request at a time. It widens
again only after an answer that came within half its first limit, so a slow line keeps few requests
that arrive instead of many that are all cut off.
"""

from typing import Final

from msgspec import Struct

from client_py.core.book import Book
from client_py.core.effects import CancelRequest, ChunkBody, SendRequest

IN_FLIGHT_MAX: Final = 4  # Chromium opens six connections to a host; two stay for the page itself
TIMEOUT_MS_BASE: Final = 30_000
LINE_BYTES_A_SECOND_MIN: Final = 4 * 1024  # a line of 64 kbit/s delivers with a factor of two to spare
TIMEOUT_MS_MAX: Final = 30 * 60_000


class Flight(Struct, frozen=True, kw_only=True):
    """Root of what a request was for."""

    recording_id: str


class RegisterFlight(Flight, frozen=True, kw_only=True):
    """`POST /api/recordings`"""


class ChunkFlight(Flight, frozen=True, kw_only=True):
    """`PUT` of a chunk."""

    chunk_index: int


class VerifyFlight(Flight, frozen=True, kw_only=True):
    """`POST …/verify`. `is_again`: of chunks that were verified before."""

    chunk_indexes: list[int]
    is_again: bool


class CompleteFlight(Flight, frozen=True, kw_only=True):
    """`POST …/complete`"""


class DeleteFlight(Flight, frozen=True, kw_only=True):
    """`DELETE`"""


class ListFlight(Flight, frozen=True, kw_only=True):
    """`GET /api/recordings`; of no recording. `query`: what it seeks, as it stands in the address; "" for all."""

    query: str = ""


class DescribeFlight(Flight, frozen=True, kw_only=True):
    """`GET /api/recordings/{id}`"""


class RenameFlight(Flight, frozen=True, kw_only=True):
    """`PATCH`"""

    title: str


AnyFlight = (
    RegisterFlight
    | ChunkFlight
    | VerifyFlight
    | CompleteFlight
    | DeleteFlight
    | ListFlight
    | DescribeFlight
    | RenameFlight
)


def timeout_ms(body_bytes: int, timeouts: int) -> int:
    """The limit of one attempt: 30 s + size / 4 KiB/s, doubled for each timeout before, at most 30 min."""
    base = TIMEOUT_MS_BASE + body_bytes * 1000 // LINE_BYTES_A_SECOND_MIN
    return min(TIMEOUT_MS_MAX, base << min(timeouts, 10))


class Requests:
    """What is in flight from this page."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._flights: dict[int, AnyFlight] = {}
        self._quick_until_ms: dict[int, int] = {}
        self._was_quick = True  # the request that was finished last
        self._next_id = 1
        self._window = IN_FLIGHT_MAX

    @property
    def has_room(self) -> bool:
        """Whether another request may be started."""
        return len(self._flights) < self._window

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in flight."""
        return not self._flights

    def is_flying(self, kind: type[Flight], recording_id: str | None = None) -> bool:
        """Whether a request of that kind (and recording) is under way."""
        return any(
            isinstance(flight, kind) and recording_id in (None, flight.recording_id)
            for flight in self._flights.values()
        )

    def start(
        self,
        flight: AnyFlight,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        body: bytes | ChunkBody | None = None,
        body_bytes: int = 0,
        timeouts: int = 0,
    ) -> None:
        """Decide to send a request; its answer comes with the number it gets here."""
        request_id, self._next_id = self._next_id, self._next_id + 1
        self._flights[request_id] = flight
        limit_ms = timeout_ms(body_bytes, timeouts)
        self._quick_until_ms[request_id] = self._book.now_ms + timeout_ms(body_bytes, 0) // 2
        self._book.do(
            SendRequest(
                request_id=request_id, method=method, path=path, headers=headers or {}, body=body, timeout_ms=limit_ms
            )
        )

    def finish(self, request_id: int) -> AnyFlight | None:
        """What the request was for; None for one that was cancelled."""
        self._was_quick = self._book.now_ms <= self._quick_until_ms.pop(request_id, -1)
        return self._flights.pop(request_id, None)

    def cancel_all_of(self, recording_id: str) -> None:
        """Abort the recording's requests; their answers count no more."""
        for request_id, flight in list(self._flights.items()):
            if flight.recording_id == recording_id:
                del self._flights[request_id], self._quick_until_ms[request_id]
                self._book.do(CancelRequest(request_id=request_id))

    def widen(self) -> None:
        """The request that was finished last got through; where it was quick, one more may go beside it."""
        self._window = min(IN_FLIGHT_MAX, self._window + (1 if self._was_quick else 0))

    def narrow(self) -> None:
        """The line does not deliver, or the server has too much: one request at a time."""
        self._window = 1
