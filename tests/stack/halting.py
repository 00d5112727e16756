"""Lets a real process of the server stand still at a named step, for a test that kills something just then.

Loaded only by the entry points beside this file (`halting_cli`, `halting_worker`), so the product has no such
points. A test writes a `Halt` into the file that STACK_HALT names; the first call that it fits takes the file
away, leaves its pid, and stops its own process with SIGSTOP: the whole process, in the middle of that step. The
test sees it in /proc, kills whom it wants, and lets it go on with SIGCONT, or not.
"""

import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

FILE_VARIABLE: Final = "STACK_HALT"
BEFORE: Final = "before"
AFTER: Final = "after"

_within: ContextVar[tuple[str, ...]] = ContextVar("within", default=())


class Halt(Struct, frozen=True):
    """Where to stand still: before or after a call of bucket or ledger, inside of another where that is named.

    `argument` is how the first argument's text begins, where it matters.
    """

    call: str
    moment: str
    within: str = ""
    argument: str = ""

    def fits(self, call: str, moment: str, arguments: tuple[Any, ...]) -> bool:
        """Whether it is this call."""
        return (
            (self.call, self.moment) == (call, moment)
            and (not self.within or self.within in _within.get())
            and (not self.argument or str(arguments[:1] and arguments[0]).startswith(self.argument))
        )


def pid_path(halt_path: Path) -> Path:
    """Where the process that stands still leaves its pid."""
    return halt_path.with_suffix(".pid")


def install() -> None:
    """Let every call of bucket, ledgers and flush look at the file first and afterwards."""
    from server.ingest.flush import Flusher
    from server.storage.minio_blob_store import MinioBlobStore
    from server.storage.postgres_audit_ledger import PostgresAuditLedger
    from server.storage.postgres_collect_ledger import PostgresCollectLedger
    from server.storage.postgres_connection import PostgresConnections
    from server.storage.postgres_ledger import PostgresLedger
    from server.storage.postgres_rebuild_ledger import PostgresRebuildLedger

    halt_path = Path(os.environ[FILE_VARIABLE])
    for owner in (MinioBlobStore, PostgresLedger, PostgresAuditLedger, PostgresCollectLedger, PostgresRebuildLedger):
        for name, method in vars(owner).copy().items():
            if iscoroutinefunction(method) and not name.startswith("_"):
                setattr(owner, name, _halting(halt_path, name, method))
    _replace(halt_path, Flusher, "flush", "flush")
    _replace(halt_path, PostgresConnections, "_commit", "commit")


def _replace(halt_path: Path, owner: type, name: str, call: str) -> None:
    setattr(owner, name, _halting(halt_path, call, getattr(owner, name)))


def _halting(halt_path: Path, call: str, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @wraps(method)
    async def halting(self: Any, *arguments: Any, **named: Any) -> Any:
        _stand_still(halt_path, call, BEFORE, arguments)
        with _inside(call):
            answer = await method(self, *arguments, **named)
        _stand_still(halt_path, call, AFTER, arguments)
        return answer

    return halting


@contextmanager
def _inside(call: str) -> Iterator[None]:
    token = _within.set((*_within.get(), call))
    try:
        yield
    finally:
        _within.reset(token)


def _stand_still(halt_path: Path, call: str, moment: str, arguments: tuple[Any, ...]) -> None:
    try:
        halt = msgspec.json.decode(halt_path.read_bytes(), type=Halt)
    except FileNotFoundError:
        return
    if not halt.fits(call, moment, arguments):
        return
    try:
        halt_path.unlink()
    except FileNotFoundError:
        return  # another process was first
    # Complete at once, like the order itself: the test reads it as soon as it is there.
    pid_path(halt_path).with_suffix(".new").write_text(str(os.getpid()))
    pid_path(halt_path).with_suffix(".new").replace(pid_path(halt_path))
    os.kill(os.getpid(), signal.SIGSTOP)
