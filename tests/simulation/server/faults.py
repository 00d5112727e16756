"""Two ports whose calls a plan lets fail, die, arrive late or lose their answer; nothing here is random."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import IntEnum
from inspect import iscoroutinefunction
from typing import Any, Generic, TypeVar, cast

from server.storage.blob_store import BlobStoreUnavailableError
from server.storage.ledger import LedgerUnavailableError, LedgerUnsettledError

T = TypeVar("T")
Late = Callable[[], Awaitable[Any]]


class Killed(BaseException):
    """The process dies here: nothing of ours catches it."""


class Way(IntEnum):
    """How the chosen call goes wrong."""

    ERROR_BEFORE = 0
    ERROR_AFTER = 1  # done, and its answer is lost
    LATE = 2  # given up on, and done afterwards: a PUT after its timeout, a COMMIT in progress
    KILLED_BEFORE = 3
    KILLED_AFTER = 4


# Only writes can arrive late; each is a pure function of its arguments.
_WRITES = frozenset(
    [
        "put",
        "delete",
        "acknowledge_coming",
        "register_recording",
        "rename_recording",
        "delete_recording",
        "decide_certificate",
        "mark_wanted",
        "mark_verified",
        "adopt",
        "move_chunks",
        "unlink",
        "claim_deletions",
        "remove_object",
        "note_garbage",
        "place",
        "restore_certificate",
        "write_installation",
        "note_finding",
        "save_pass",
        "finish_pass",
        "settle_objects",
        "settle_recordings",
    ]
)


@dataclass
class Plan:
    """What goes wrong: the `at`-th call from now on, in this way. `late` is what still has to arrive."""

    at: int = 0
    way: Way = Way.ERROR_BEFORE
    call_count: int = 0
    fault_count: int = 0
    turns: int = 0  # how often others go first, by the number of the call
    late_puts: list[Late] = field(default_factory=list)
    late_commits: list[Late] = field(default_factory=list)

    def begin(self, at: int, way: Way, turns: int = 0) -> None:
        """A new operation; 0 lets everything pass."""
        self.at, self.way, self.turns = at, way, turns

    def take(self) -> bool:
        """Whether this call is the one."""
        self.call_count += 1
        if not self.at:
            return False
        self.at -= 1
        self.fault_count += not self.at
        return not self.at


class Faulty(Generic[T]):
    """`target` under a plan; `is_store` chooses the errors."""

    def __init__(self, target: T, plan: Plan, *, is_store: bool) -> None:
        self._target = target
        self._plan = plan
        self._is_store = is_store

    @property
    def port(self) -> T:
        """Itself, as what it stands for."""
        return cast(T, self)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)
        if not iscoroutinefunction(method):
            return method

        async def call(*args: Any, **named: Any) -> Any:
            for _ in range(self._plan.turns and (self._plan.call_count * 7 + self._plan.turns) % 4):
                await asyncio.sleep(0)
            if not self._plan.take():
                return await method(*args, **named)
            way = self._plan.way
            if way is Way.KILLED_BEFORE:
                raise Killed
            if way is Way.LATE and name in _WRITES:
                late = self._plan.late_puts if self._is_store else self._plan.late_commits
                late.append(lambda: method(*args, **named))
                raise self._unknown(name)
            if way in (Way.ERROR_AFTER, Way.KILLED_AFTER):
                await method(*args, **named)
                if way is Way.KILLED_AFTER:
                    raise Killed
                raise self._unknown(name)
            raise BlobStoreUnavailableError(name) if self._is_store else LedgerUnavailableError(name)

        return call

    def _unknown(self, name: str) -> Exception:
        return BlobStoreUnavailableError(name) if self._is_store else LedgerUnsettledError(name)
