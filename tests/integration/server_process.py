"""A real server under test: `holdfast serve` in its own process, with its own data, killed and started as a test asks.

It needs no pytest, so the browser stories and the load test use it too. It kills only what it
started, by pid, and leaves nothing behind.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Final

from server.settings import read_settings
from server.storage.bucket_settings import BucketSettings
from tests.integration.processes import command_of, descendants_of, is_alive, kill_process, wait_until

_ROOT: Final = Path(__file__).resolve().parent.parent.parent
_START_LIMIT_S: Final = 90  # generous: other tests share the cores
_STOP_LIMIT_S: Final = 60
_PROBE_S: Final = 5
_WORKER_MARK: Final = " --listen="


def find_free_port() -> int:
    """A port that nobody listened on a moment ago, on both loopback addresses."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def own_environ() -> dict[str, str]:
    """This process's environment without settings that a person may have set for a server of their own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}


class ServerProcess:
    """One `holdfast serve` on one data directory and one port, over as many lives as needed.

    `environ` is added to this process's environment without its own HOLDFAST_*. The log of all lives
    is in `log_path`.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        environ: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
        port: int | None = None,
        log_path: Path | None = None,
        module: str = "server.cli",
    ) -> None:
        self.data_dir = data_dir
        self.port = find_free_port() if port is None else port
        self.log_path = log_path or data_dir.with_name(f"{data_dir.name}.log")
        self._arguments = list(arguments)
        self._module = module
        self._environ = {
            **own_environ(),
            "HOLDFAST_DATA_DIR": str(data_dir),
            "HOLDFAST_PORT": str(self.port),
            "HOLDFAST_WORKERS": "1",
            **(environ or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    def __enter__(self) -> "ServerProcess":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        if error is None:
            self.check_log()

    # -- where it is

    @property
    def base_url(self) -> str:
        """Its address without a trailing slash; on 127.0.0.1, so that no resolver takes part."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def database_url(self) -> str:
        """The ledger's address: the one given by environment, else the embedded service's."""
        given = self._environ.get("HOLDFAST_DATABASE_URL")
        if given:
            return given
        return (
            f"postgresql://holdfast:{self._credential('database_password')}@127.0.0.1:{self._port('postgres')}/holdfast"
        )

    @property
    def bucket(self) -> BucketSettings:
        """The bucket: the one given by environment, else the embedded service's."""
        given = read_settings(self._environ).bucket
        if given is not None:
            return given
        return BucketSettings(
            endpoint=f"127.0.0.1:{self._port('weed_s3')}",
            access_key=self._credential("access_key"),
            secret_key=self._credential("secret_key"),
            bucket="holdfast",
            is_secure=False,
        )

    @property
    def log(self) -> str:
        """What the server said so far, over all its lives."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    # -- its processes

    @property
    def pid(self) -> int:
        """The supervisor's pid."""
        if self._process is None:
            raise AssertionError("the server was not started")
        return self._process.pid

    def is_running(self) -> bool:
        """Whether the supervisor runs."""
        return self._process is not None and self._process.poll() is None

    def descendants(self) -> list[int]:
        """Every process below the supervisor: workers and embedded services."""
        return descendants_of(self.pid)

    def worker_pids(self) -> list[int]:
        """The API processes."""
        return [pid for pid in self.descendants() if _WORKER_MARK in command_of(pid)]

    def service_pids(self) -> dict[str, int]:
        """The embedded services that run, by name."""
        pids = {path.stem: int(path.read_text()) for path in (self.data_dir / "run").glob("*.pid")}
        return {name: pid for name, pid in pids.items() if is_alive(pid)}

    # -- its life

    def launch(self, *arguments: str) -> None:
        """Start the process and return at once; `arguments` are added to `serve` for this life."""
        if self.is_running():
            raise AssertionError("the server runs already")
        self.close_log()
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        self._log = self.log_path.open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", self._module, "serve", *self._arguments, *arguments],
            cwd=_ROOT,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,  # a Ctrl-C in the terminal is the test run's
        )

    def start(self, *arguments: str) -> None:
        """Start it and return when it is ready to take chunks."""
        self.launch(*arguments)
        try:
            self.wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def wait_until_ready(self, limit_s: float = _START_LIMIT_S) -> None:
        """Return when `/api/health/ready` answers 200; raise with the log's end where it does not."""

        def has_answered() -> bool:
            if not self.is_running():
                raise AssertionError(f"the server ended with {self.exit_code()}; its log ends:\n{self.log[-4000:]}")
            return self.health() == 200

        try:
            wait_until(has_answered, "the server to be ready", limit_s)
        except AssertionError as error:
            raise AssertionError(f"{error}; its log ends:\n{self.log[-4000:]}") from None

    def health(self) -> int:
        """The status of `/api/health/ready`, or 0 where nothing answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PROBE_S)
        try:
            connection.request("GET", "/api/health/ready")
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def kill(self) -> None:
        """SIGKILL the supervisor alone, and return when everything below it is gone too.

        What outlives it after all is killed, so that no test leaves anything; `orphans` tells.
        """
        if self._process is None:
            return
        below = self.descendants() if self.is_running() else []
        self._process.kill()
        self._process.wait()
        try:
            wait_until(lambda: not any(map(is_alive, below)), "the killed supervisor's processes to end", 10)
        finally:
            for pid in filter(is_alive, below):
                kill_process(pid)
            self.close_log()

    def kill_workers(self) -> list[int]:
        """SIGKILL every API process; the pids killed."""
        pids = self.worker_pids()
        for pid in pids:
            kill_process(pid)
        return pids

    def send_signal(self, number: int) -> None:
        """Send the supervisor a signal."""
        os.kill(self.pid, number)

    def terminate(self) -> int:
        """SIGTERM, as an operator stops it; its exit code after it drained."""
        self.send_signal(signal.SIGTERM)
        return self.exit_code()

    def exit_code(self, limit_s: float = _STOP_LIMIT_S) -> int:
        """Wait for the supervisor's end; its exit code."""
        if self._process is None:
            raise AssertionError("the server was not started")
        code = self._process.wait(limit_s)
        self.close_log()
        return code

    def restart(self, *arguments: str) -> None:
        """SIGKILL it and start it again on the same data and port."""
        self.kill()
        self.start(*arguments)

    def check_log(self) -> None:
        """Whatever became of it, no callback and no task of its event loops may have ended by an error of ours."""
        found = [line for line in self.log.splitlines() if '"logger":"asyncio"' in line and '"level":"error"' in line]
        assert not found, f"{len(found)} errors in the event loop, the first of them: {found[0][:2000]}"

    def close_log(self) -> None:
        """Close this process's end of the log file."""
        if self._log is not None:
            self._log.close()
            self._log = None

    def _credential(self, name: str) -> str:
        return str(json.loads((self.data_dir / "credentials.json").read_bytes())[name])

    def _port(self, name: str) -> int:
        return int(json.loads((self.data_dir / "ports.json").read_bytes())[name])
