"""The worker's beginning: composes the runtime and the browser's adapters, and decides nothing."""

import asyncio
import traceback
from typing import Any

from client_py.browser.broadcast_tabs import BroadcastTabs
from client_py.browser.fetch_http import FetchHttp
from client_py.browser.opfs_file_tree import OpfsFileTree
from client_py.browser.web_clock import WebClock
from client_py.browser.web_entropy import WebEntropy
from client_py.browser.web_locks import WebLocks
from client_py.browser.window_port import WindowPort
from client_py.messages import Failed
from client_py.runtime import Runtime


async def start(port: Any) -> None:
    """Run the client over the window's MessagePort until the worker is terminated.

    Whatever the runtime does not handle itself ends this worker; the window is told and decides
    about a new one.
    """
    window = WindowPort(port)
    failure: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    def fail(error: BaseException) -> None:
        if not failure.done():
            failure.set_result(error)

    runtime = Runtime(
        files=OpfsFileTree(),
        http=FetchHttp(),
        clock=WebClock(),
        entropy=WebEntropy(),
        locks=WebLocks(),
        tabs=BroadcastTabs(),
        window=window,
    )
    window.listen(runtime.receive, fail)
    running = asyncio.create_task(runtime.run())
    endings: set[asyncio.Future[Any]] = {running, failure}
    await asyncio.wait(endings, return_when=asyncio.FIRST_COMPLETED)
    error = failure.result() if failure.done() else running.exception()
    if error is None:
        error = RuntimeError("the runtime ended by itself")
    running.cancel()
    traceback.print_exception(error)  # to the console, for whoever looks for the cause
    window.post(Failed(message=f"{type(error).__name__}: {error}"))
