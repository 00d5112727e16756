"""Web Locks: a lock is held for as long as the promise that its callback returned is pending.

The browser gives a dead worker's locks to the next in the queue, so nothing here polls.
"""

import asyncio
from typing import Any

import js
from pyodide.ffi import JsException, create_proxy, to_js

from client_py.ports import StorageFailedError


class WebHeldLock:
    """See `client_py.ports.HeldLock`."""

    def __init__(self, resolvers: Any) -> None:
        self._resolvers = resolvers

    def release(self) -> None:
        self._resolvers.resolve()  # resolving twice does nothing


class WebLocks:
    """See `client_py.ports.Locks`."""

    def __init__(self) -> None:
        self._requests: set[asyncio.Task[None]] = set()  # the event loop holds tasks only weakly

    async def acquire(self, name: str) -> WebHeldLock:
        controller = js.AbortController.new()
        granted = self._request(name, {"signal": controller.signal})
        try:
            lock = await asyncio.shield(granted)
        except asyncio.CancelledError:
            controller.abort()
            # Granted in the same moment: give it back, or it would stay held by nobody.
            granted.add_done_callback(_release_unwanted)
            raise
        if lock is None:
            raise StorageFailedError(f"the browser did not grant the lock {name}")
        return lock

    async def try_acquire(self, name: str) -> WebHeldLock | None:
        return await self._request(name, {"ifAvailable": True})

    async def held_names(self) -> list[str]:
        snapshot = await js.navigator.locks.query()
        return [lock.name for lock in snapshot.held]

    def _request(self, name: str, options: dict[str, Any]) -> "asyncio.Future[WebHeldLock | None]":
        """A future of the held lock; None when it was not to be had."""
        granted: asyncio.Future[WebHeldLock | None] = asyncio.get_running_loop().create_future()
        resolvers = js.Promise.withResolvers()

        def on_granted(lock: Any) -> Any:
            if granted.done():
                resolvers.resolve()  # whoever asked was cancelled: it must not stay held by nobody
            elif lock:  # null, which is jsnull here, when it was not available
                granted.set_result(WebHeldLock(resolvers))
            else:
                granted.set_result(None)
                resolvers.resolve()
            return resolvers.promise

        # JavaScript keeps the callback until the request has ended; `_hold` destroys it then.
        callback = create_proxy(on_granted)
        task = asyncio.create_task(_hold(name, to_js(options), callback, granted))
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)
        return granted


async def _hold(name: str, options: Any, callback: Any, granted: "asyncio.Future[WebHeldLock | None]") -> None:
    """Live as long as the request: until the lock is released, or the request was aborted."""
    try:
        await js.navigator.locks.request(name, options, callback)
    except JsException:
        if not granted.done():
            granted.set_result(None)
    finally:
        callback.destroy()


def _release_unwanted(granted: "asyncio.Future[WebHeldLock | None]") -> None:
    lock = None if granted.cancelled() else granted.result()
    if lock is not None:
        lock.release()
