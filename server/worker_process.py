"""One API process: uvicorn on the sockets it inherited, until it is told to drain.

It dies with the supervisor, also where that is killed with -9: a worker without one would hold the
port against the next server and answer for stores that are gone.
"""

import argparse
import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_FAILED = 1
# Python's own 700 is reached several times a flush.
_GC_AFTER_ALLOCATIONS = 20_000


def main() -> int:
    """Run one worker; the exit code."""
    parser = argparse.ArgumentParser(prog="server.worker_process", description="Started by `holdfast serve`.")
    parser.add_argument("--parent", type=int, required=True, help="pid of the supervisor")
    parser.add_argument("--listen", type=int, action="append", required=True, help="an inherited listening socket")
    arguments = parser.parse_args()
    # Before the imports that take long: nothing protects this process until here.
    die_with_parent(arguments.parent)
    try:
        _serve(arguments.listen)
    except Exception:  # the last one to hear of it; the supervisor starts another worker
        import logging

        logging.getLogger(__name__).exception("worker failed")
        return _FAILED
    return 0


def die_with_parent(parent_pid: int) -> None:
    """Ask Linux to kill this process when the supervisor ends, and leave where it ended already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
    # It may have died before prctl was called; then this process has another parent by now.
    if os.getppid() != parent_pid:
        sys.exit("the supervisor is gone")


def _serve(listen_fds: list[int]) -> None:
    import asyncio
    import gc
    import math
    import socket
    from types import FrameType

    import uvicorn

    from server.app import create_app
    from server.http_protocol import make_protocol, sweep_connections
    from server.listening import BACKLOG
    from server.logging_setup import set_up_logging
    from server.settings import read_settings
    from server.shared_core import shared_core

    settings = read_settings()
    set_up_logging(settings)
    if settings.shares_core:
        shared_core.enter()
    app = create_app(settings)

    class DrainingServer(uvicorn.Server):
        """Admits no new body from the signal on; uvicorn itself takes up to 0.1 s until it stops accepting."""

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            app.begin_drain()
            super().handle_exit(sig, frame)

        async def main_loop(self) -> None:
            # What is there now stays, and what requests leave behind holds no cycles: look seldom, and only at the new.
            gc.collect()
            gc.freeze()
            gc.set_threshold(_GC_AFTER_ALLOCATIONS)
            sweeping = asyncio.create_task(sweep_connections(self.server_state.connections))
            try:
                await super().main_loop()
            finally:
                sweeping.cancel()

    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=make_protocol(app.find_parts),
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,  # nothing here reads the caller's address
        backlog=BACKLOG,
        timeout_graceful_shutdown=math.ceil(settings.drain_s),
    )
    DrainingServer(config).run([socket.socket(fileno=fd) for fd in listen_fds])


if __name__ == "__main__":
    sys.exit(main())
