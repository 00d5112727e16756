"""A store or ledger whose calls a test counts, holds up, or lets fail."""

import asyncio
from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")
Hook = Callable[[str, Any], Awaitable[None]]


async def let_pass(name: str, first: Any) -> None:
    """The hook that does nothing."""


async def let_others_go(name: str, first: Any) -> None:
    """The hook that lets every other task go on first, as a real store does while it is asked."""
    await asyncio.sleep(0)


class Watched(Generic[T]):
    """Every call goes through `before(name, first argument)`, the target, and `after`; `calls` has them all."""

    def __init__(self, target: T, before: Hook = let_pass, after: Hook = let_pass) -> None:
        self._target = target
        self.before = before
        self.after = after
        self.calls: list[tuple[str, Any]] = []

    @property
    def port(self) -> T:
        """Itself, as what it stands for."""
        return cast(T, self)

    def count(self, name: str) -> int:
        """How often this method was called."""
        return sum(called == name for called, _ in self.calls)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)
        if not iscoroutinefunction(method):
            return method

        async def call(*args: Any, **named: Any) -> Any:
            first = args[0] if args else named.get("recording_id")
            self.calls.append((name, first))
            await self.before(name, first)
            answer = await method(*args, **named)
            await self.after(name, first)
            return answer

        return call
