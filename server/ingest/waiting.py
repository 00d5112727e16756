"""How many bodies and bytes a worker holds in memory at once: the bound that makes overload a quick, honest 503.

A place is taken before a body is read, and given back when nothing holds its bytes any more: by the
request while it reads, and by the flush from the moment the chunk was handed over, whatever becomes
of the request (I6).
"""

from types import TracebackType
from typing import Final

from msgspec import Struct

from protocol.errors import ErrorCode
from server.refusal import Refusal

# A flush takes tens of milliseconds: what waits now has been answered long before.
_RETRY_AFTER_S: Final = 1
# Another process takes over within the supervisor's restart.
_DRAIN_RETRY_AFTER_S: Final = 2


class Place(Struct, eq=False):
    """Bytes taken from the bound. Leaving the `with` gives them back, unless a flush has taken them over."""

    _waiting: "Waiting"
    _byte_count: int
    _is_taken_over: bool = False

    def __enter__(self) -> "Place":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._is_taken_over:
            self.give_back()

    def shrink(self, byte_count: int) -> None:
        """The body is whole and smaller than what was taken for it."""
        self._waiting.byte_count -= self._byte_count - byte_count
        self._byte_count = byte_count

    def take_over(self) -> None:
        """From here on whoever calls this gives it back."""
        self._is_taken_over = True

    def give_back(self) -> None:
        """Exactly once, by whoever holds it."""
        self._waiting.byte_count -= self._byte_count
        self._waiting.chunk_count -= 1


class Waiting:
    """The bound of one worker, in bytes and in bodies."""

    def __init__(self, *, bytes_max: int, chunks_max: int) -> None:
        self._bytes_max = bytes_max
        self._chunks_max = chunks_max
        self._is_draining = False
        self.byte_count = 0
        self.chunk_count = 0

    @property
    def is_draining(self) -> bool:
        """Whether nothing new is taken."""
        return self._is_draining

    @property
    def room(self) -> int:
        """How many more bodies would be taken now, if they are small."""
        is_shut = self._is_draining or self.byte_count >= self._bytes_max
        return 0 if is_shut else self._chunks_max - self.chunk_count

    def is_full(self, byte_count: int) -> bool:
        """Whether there is no place for a body of so many bytes."""
        return self.chunk_count >= self._chunks_max or self.byte_count + byte_count > self._bytes_max

    def refusal(self) -> Refusal:
        """What is said then: the same each time, so that it can be prepared."""
        return Refusal(
            ErrorCode.OVERLOADED,
            f"as many bodies are waiting as this process holds: at most {self._chunks_max}, of {self._bytes_max} bytes"
            " together",
            next_step="Keep the bytes and send them again after Retry-After.",
            retry_after_s=_RETRY_AFTER_S,
        )

    def begin_drain(self) -> None:
        """Take nothing new from now on; what has a place is finished."""
        self._is_draining = True

    def take(self, byte_count: int) -> Place:
        """A place for a body of at most so many bytes. Raises `Refusal`: draining, overloaded."""
        if self._is_draining:
            raise Refusal(
                ErrorCode.DRAINING,
                "this process is stopping and takes nothing new",
                next_step="Send it again; another process answers.",
                retry_after_s=_DRAIN_RETRY_AFTER_S,
            )
        if self.is_full(byte_count):
            raise self.refusal()
        self.byte_count += byte_count
        self.chunk_count += 1
        return Place(self, byte_count)
