"""PostgreSQL and an S3 bucket of the server's own, for whoever has neither: started, watched, ended.

They listen on the loopback address only, with random credentials, and flush before they acknowledge.
One server at a time holds a data directory. They end with the process that started them, even when
that is killed; whatever is left is recognised and ended at the next start.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from server.services import postgres_service, seaweedfs_service
from server.services.data_directory import DataDirectory
from server.services.errors import EmbeddedServiceError, ServiceStartError
from server.services.ports import choose_ports
from server.services.postgres_service import PostgresService
from server.services.seaweedfs_service import SeaweedfsService
from server.storage.bucket_settings import BucketSettings

# A port may be taken between its choice and its use; more often than this it is something else.
_START_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class ServiceExit:
    """A service that is no longer running; `code` is its exit code, negative for a signal."""

    name: str
    code: int


class EmbeddedServices:
    """The services under `data_dir`. Used from the main thread of one process, because they end with that thread.

    `on_progress` gets short sentences for a person who waits. Also a context manager.
    """

    def __init__(
        self,
        data_dir: Path | str,
        wants_database: bool = True,
        wants_bucket: bool = True,
        on_progress: Callable[[str], None] = print,
    ) -> None:
        self._directory = DataDirectory(Path(data_dir))
        self._wants_database = wants_database
        self._wants_bucket = wants_bucket
        self._on_progress = on_progress
        self._postgres: PostgresService | None = None
        self._seaweedfs: SeaweedfsService | None = None
        self._ports: dict[str, int] = {}

    @property
    def database_url(self) -> str:
        """Of the database `holdfast`, for its owner. Raises `RuntimeError` before `start`."""
        return self._require_postgres().database_url

    @property
    def superuser_url(self) -> str:
        """Of the cluster's administrator: for tests, and for a person who repairs."""
        return self._require_postgres().superuser_url

    @property
    def bucket(self) -> BucketSettings:
        """The bucket, which exists. Raises `RuntimeError` before `start`."""
        if self._seaweedfs is None:
            raise RuntimeError("the embedded bucket is not running")
        return self._seaweedfs.bucket

    @property
    def pids(self) -> dict[str, int]:
        """Of the running services, by name."""
        return {service.name: pid for service in self._services() if (pid := service.child.pid) is not None}

    def start(self) -> None:
        """Lock the data directory, clear what a killed server left, start, and return when both answer.

        Raises `DataDirectoryBusyError` for a second server and `ServiceStartError` with the end of the
        log; then nothing is left running and the lock is free.
        """
        self._directory.lock()
        try:
            if self._wants_bucket:
                self._seaweedfs = SeaweedfsService(self._directory, self._on_progress)
            if self._wants_database:
                self._postgres = PostgresService(self._directory, self._on_progress)
            for service in self._services():
                service.clear_leftovers()
            self._start_services()
        except BaseException:
            self.stop()
            raise

    def poll(self) -> list[ServiceExit]:
        """The services that have ended since; none while all is well. Never blocks."""
        codes = ((service.name, service.child.poll()) for service in self._services())
        return [ServiceExit(name, code) for name, code in codes if code is not None]

    def restart(self, name: str) -> None:
        """Start a service that `poll` named again, on the same port, and return when it answers.

        Raises `ServiceStartError`; the others go on running.
        """
        (service,) = (service for service in self._services() if service.name == name)
        self._on_progress(f"{name}: starting again")
        service.child.stop()
        service.clear_leftovers()
        service.launch(self._ports)
        service.wait_ready()

    def stop(self) -> None:
        """End the services in order and release the data directory; a repeat is a success."""
        # The ledger first: nothing can be acknowledged any more, so no object is awaited either.
        for service in reversed(self._services()):
            service.stop()
        self._postgres = self._seaweedfs = None
        self._directory.unlock()

    def __enter__(self) -> "EmbeddedServices":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start_services(self) -> None:
        names = [
            *(seaweedfs_service.PORT_NAMES if self._wants_bucket else ()),
            *(postgres_service.PORT_NAMES if self._wants_database else ()),
        ]
        remembered = self._directory.load_ports()
        for attempt in range(1, _START_ATTEMPTS + 1):
            # The kept ones of a service that is not wanted this time stay remembered.
            self._ports = remembered | choose_ports(names, remembered)
            self._directory.save_ports(self._ports)
            try:
                self._launch_and_wait()
                return
            except ServiceStartError as error:
                for service in self._services():
                    service.stop()
                if attempt == _START_ATTEMPTS or not _is_port_taken(error):
                    raise
                self._on_progress("a port was taken meanwhile; choosing others")

    def _launch_and_wait(self) -> None:
        """Both start at once; SeaweedFS first, because it takes longer."""
        for service in self._services():
            self._on_progress(f"{service.name}: starting (log: {_shorten(service.child.log_path)})")
            service.launch(self._ports)
        for service in self._services():
            service.wait_ready()
            self._on_progress(f"{service.name}: ready")

    def _services(self) -> list[SeaweedfsService | PostgresService]:
        return [service for service in (self._seaweedfs, self._postgres) if service is not None]

    def _require_postgres(self) -> PostgresService:
        if self._postgres is None:
            raise RuntimeError("the embedded database is not running")
        return self._postgres


def find_running_services(data_dir: Path) -> tuple[str, BucketSettings]:
    """Database URL and bucket of the server that runs on `data_dir`, for its owner. Raises `EmbeddedServiceError`."""
    directory = DataDirectory(data_dir)
    credentials, ports = directory.load_credentials(), directory.load_ports()
    try:
        database_url = postgres_service.url_of(credentials, ports["postgres"])
        return database_url, seaweedfs_service.bucket_of(credentials, ports["weed_s3"])
    except KeyError as error:
        raise EmbeddedServiceError(
            f"{data_dir} does not say where its {error} listens; is the server starting?"
        ) from None


def _is_port_taken(error: EmbeddedServiceError) -> bool:
    return "address already in use" in str(error).lower()


def _shorten(path: Path) -> str:
    """Relative to the working directory where that is shorter."""
    return min(str(path), os.path.relpath(path), key=len)
