"""`holdfast serve`: everything that one machine's server is, started in order, kept alive, ended in order.

Start: port, embedded services (those that the environment does not name), schema, installation, workers.
End: no new connections, workers finish what they accepted, services stop. Any part of it may be killed
at any moment: a worker or a service is started again, and when this process dies all others die with it.
"""

import logging
import shutil
import socket
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

from server.announcement import Announcement
from server.audit.lives import Life, life_of
from server.listening import bind_listeners, port_of, start_listening
from server.preparation import (
    embedded_services,
    environ_of_workers,
    join_stores,
    migrate,
    needs_embedded,
    note_end,
    with_services,
)
from server.service_keeper import ServiceKeeper
from server.settings import Settings
from server.signal_inbox import RELOAD_SIGNAL, STOP_SIGNALS, SignalInbox, StopRequested
from server.worker_pool import WorkerPool

_log = logging.getLogger(__name__)

# Ends of children wake the loop at once; this bounds how late anything else is noticed.
_TICK_S: Final = 1.0
# Embedded services run, so they will answer; given ones that are away are the operator's to know of at once.
_EMBEDDED_PATIENCE_S: Final = 60.0
# Beyond the workers' own limit, for what uvicorn does around it.
_DRAIN_SLACK_S: Final = 5.0


def serve(settings: Settings, environ: Mapping[str, str], *, adopts_bucket: bool = False) -> None:
    """Run until a signal says stop; everything has ended on return.

    Raises `PortError`, `EmbeddedServiceError`, `LedgerError`, `BlobStoreError`, `WorkersFailedError`;
    nothing is left running then either.
    """
    with SignalInbox() as inbox, ExitStack() as stack:
        try:
            with inbox.interruptible():
                supervisor = _start(settings, environ, adopts_bucket, stack)
            supervisor.run(inbox)
        except StopRequested:
            _log.info("stopping before the start was complete")


def _start(settings: Settings, environ: Mapping[str, str], adopts_bucket: bool, stack: ExitStack) -> "_Supervisor":
    listeners = bind_listeners(settings.host, settings.port)
    stack.callback(_close, listeners)
    settled = _settle_port(settings, port_of(listeners))
    keeper = None
    if needs_embedded(settled):
        services = embedded_services(settled)
        stack.callback(services.stop)
        services.start()
        settled = with_services(settled, services)
        keeper = ServiceKeeper(services)
    assert settled.database_url is not None
    migrate(settled.database_url)
    life = life_of(settings)
    patience_s = _EMBEDDED_PATIENCE_S if keeper else 0.0
    join_stores(settled, adopts_bucket=adopts_bucket, patience_s=patience_s, life=life)
    metrics_dir = _make_metrics_dir(settled, is_ours_alone=keeper is not None)
    stack.callback(shutil.rmtree, metrics_dir, ignore_errors=True)
    start_listening(listeners)
    pool = WorkerPool(
        settled.workers,
        [listener.fileno() for listener in listeners],
        environ_of_workers(settled, environ) | {"PROMETHEUS_MULTIPROC_DIR": str(metrics_dir)},
        metrics_dir,
    )
    return _Supervisor(settled, life, listeners, pool, keeper)


class _Supervisor:
    def __init__(
        self,
        settings: Settings,
        life: Life,
        listeners: list[socket.socket],
        pool: WorkerPool,
        keeper: ServiceKeeper | None,
    ) -> None:
        self._settings = settings
        self._life = life
        self._listeners = listeners
        self._pool = pool
        self._keeper = keeper

    def run(self, inbox: SignalInbox) -> None:
        address, port = self._listeners[0].getsockname()[:2]
        announcement = Announcement(address, port, self._settings.public_url, self._note_served)
        try:
            announcement.start()
            self._tend_until_stopped(inbox)
        except StopRequested:
            # It came while a service was starting again; the byte in the inbox is the same signal.
            inbox.wait(0)
        finally:
            announcement.cancel()
            self._drain(inbox)

    def _tend_until_stopped(self, inbox: SignalInbox) -> None:
        while True:
            self._pool.tend()
            if self._keeper is not None:
                with inbox.interruptible():
                    self._keeper.tend()
            heard = inbox.wait(self._pool.seconds_until_due(_TICK_S))
            if heard & set(STOP_SIGNALS):
                return
            if RELOAD_SIGNAL in heard:
                _log.info("new workers take over")
                self._pool.replace_all()

    def _drain(self, inbox: SignalInbox) -> None:
        _log.info("stopping: finishing what was accepted")
        # The workers close their copies; with this one the port refuses, so clients turn to another server.
        _close(self._listeners)
        self._pool.drain()
        deadline_s = time.monotonic() + self._settings.drain_s + _DRAIN_SLACK_S
        is_killed = False
        while not self._pool.is_empty:
            heard = inbox.wait(min(_TICK_S, max(0.0, deadline_s - time.monotonic())))
            if not is_killed and (heard & set(STOP_SIGNALS) or time.monotonic() >= deadline_s):
                _log.warning("ending the workers at once; what was not acknowledged is sent again by its client")
                self._pool.kill()
                is_killed = True
            self._pool.tend()
        _log.info("workers stopped")
        if not is_killed:
            note_end(self._settings, self._life)

    def _note_served(self) -> None:
        self._pool.has_served = True


def _settle_port(settings: Settings, port: int) -> Settings:
    """With the port that the system chose, in the page's address too where that was left to us."""
    is_ours = settings.public_url == f"http://localhost:{settings.port}"
    return replace(settings, port=port, public_url=f"http://localhost:{port}" if is_ours else settings.public_url)


def _make_metrics_dir(settings: Settings, *, is_ours_alone: bool) -> Path:
    """An empty folder in which the workers count together; the last life's counts do not belong there."""
    if not is_ours_alone:
        # Without embedded services nobody locks the data directory: another server may use it too.
        return Path(tempfile.mkdtemp(prefix="holdfast-metrics-"))
    folder = settings.data_dir / "run" / "metrics"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    return folder


def _close(listeners: list[socket.socket]) -> None:
    for listener in listeners:
        listener.close()
