"""One fresh `holdfast serve` with embedded services for a measurement, and where its stores are."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import Final

from loadtest.k6_run import LoadError

LOG_NAME: Final = "server.log"
_READY_S_MAX: Final = 120
_STOP_S_MAX: Final = 60
_POLL_S: Final = 0.2
_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through a proxy to localhost


@dataclass(frozen=True)
class Served:
    """A server that is ready; its log and data lie in `folder`."""

    pid: int
    port: int
    url: str
    folder: Path

    def list_errors(self) -> list[str]:
        """What its log calls an error or worse, so far: under a load that it holds there is none."""
        return list_errors((self.folder / LOG_NAME).read_text(errors="replace"))


def list_errors(log: str) -> list[str]:
    """The messages of the log's lines at level `error` and `critical`; other programs' lines are none."""
    errors = []
    for line in log.splitlines():
        try:
            told = json.loads(line)
        except ValueError:
            continue
        if isinstance(told, dict) and told.get("level") in ("error", "critical"):
            errors.append(str(told.get("message")))
    return errors


def refuse_taken_port(port: int) -> None:
    """Raises `LoadError` where somebody listens on localhost's `port` already."""
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.settimeout(1)
            if probe.connect_ex((host, port)) == 0:
                raise LoadError(
                    f"something listens on {host} port {port} already. The load test needs a server of its own,"
                    " with an empty bucket: stop that one, or choose another port with HOLDFAST_PORT"
                )


@contextmanager
def serve(folder: Path, port: int, settings: Mapping[str, str] = MappingProxyType({})) -> Iterator[Served]:
    """A server with embedded services and its data in `folder`, ready; stopped cleanly at the end.

    `settings` are further HOLDFAST_* variables.

    Raises `LoadError` with the end of its log where it does not become ready.
    """
    refuse_taken_port(port)
    holdfast = Path(sys.executable).parent / "holdfast"
    own = {"HOLDFAST_DATA_DIR": str(folder / "data"), "HOLDFAST_PORT": str(port), "HOLDFAST_HOST": "localhost"}
    foreign = ("HOLDFAST_DATABASE_URL", "HOLDFAST_S3_ENDPOINT", "HOLDFAST_S3_ACCESS_KEY", "HOLDFAST_S3_SECRET_KEY")
    environment = {name: value for name, value in os.environ.items() if name not in foreign} | own | dict(settings)
    log = folder / LOG_NAME
    with log.open("wb") as output:
        process = subprocess.Popen([holdfast, "serve"], env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            url = f"http://localhost:{port}"
            wait_until_answers(process, f"{url}/api/health/ready", log)
            yield Served(process.pid, port, url, folder)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_S_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until_answers(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    """Return when this address answers 200. Raises `LoadError` with the end of the log where it does not in time."""
    deadline_s = time.monotonic() + _READY_S_MAX
    last = "no answer yet"
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            raise LoadError(f"the server ended with status {process.returncode}:\n{_end_of(log)}")
        try:
            with _DIRECT.open(url, timeout=5) as answer:
                if answer.status == HTTPStatus.OK:
                    return
        except urllib.error.HTTPError as error:
            last = f"{error.code} {error.read(500)!r}"
        except OSError as error:
            last = str(error)
        time.sleep(_POLL_S)
    raise LoadError(f"the server was not ready within {_READY_S_MAX} s ({last}):\n{_end_of(log)}")


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-3_000:]
