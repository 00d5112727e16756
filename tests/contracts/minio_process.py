"""A real MinIO for the contract suite, started from a binary that the machine has.

Looked for in this order: `HOLDFAST_MINIO`, `minio` on the PATH, `.build/bin/minio`.
"""

import os
import secrets
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from server.services.ports import LOOPBACK, choose_ports
from server.storage.bucket_settings import BucketSettings
from server.storage.s3_client import BucketState, probe_bucket

ROOT = Path(__file__).parent.parent.parent
READY_S_MAX = 60.0


def find_minio() -> Path:
    """The binary. Without one the test is skipped, or fails where `HOLDFAST_REQUIRE_MINIO=1` says so."""
    candidates = [os.environ.get("HOLDFAST_MINIO"), shutil.which("minio"), str(ROOT / ".build" / "bin" / "minio")]
    for candidate in candidates:
        if candidate and Path(candidate).is_file():
            return Path(candidate)
    reason = "no MinIO binary in HOLDFAST_MINIO, on the PATH or in .build/bin; .ci/run builds one with Go"
    if os.environ.get("HOLDFAST_REQUIRE_MINIO") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


class MinioProcess:
    """A server on a folder of its own, ended with the context."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        port = choose_ports(["minio"], {})["minio"]
        self.settings = BucketSettings(
            endpoint=f"{LOOPBACK}:{port}",
            access_key=secrets.token_hex(8),
            secret_key=secrets.token_hex(16),
            bucket="first",
            is_secure=False,
        )

    def __enter__(self) -> "MinioProcess":
        log_path = self._folder / "minio.log"
        own = {"MINIO_ROOT_USER": self.settings.access_key, "MINIO_ROOT_PASSWORD": self.settings.secret_key}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MINIO_")}
        with log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [self._program, "server", "--quiet", "--address", self.settings.endpoint, self._folder / "data"],
                env=kept | own | {"MINIO_BROWSER": "off", "MINIO_UPDATE": "off"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self._wait_ready(log_path)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """SIGKILL; its folder stays, and it can be entered again at the same address."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _wait_ready(self, log_path: Path) -> None:
        assert self._process is not None
        deadline = time.monotonic() + READY_S_MAX
        while probe_bucket(self.settings) is not BucketState.READY:
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"MinIO did not start: {log_path.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)
