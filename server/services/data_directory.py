"""The folder of the embedded services: one server at a time, its secrets and its ports.

The lock is the kernel's (flock), so it ends with the process that holds it, however that dies.
"""

import fcntl
import json
import os
import secrets
from pathlib import Path
from typing import Final

import msgspec

from server.services.errors import DataDirectoryBusyError, EmbeddedServiceError

# Below the range from which Linux takes the ports of outgoing connections, so that none of these grabs
# a port that we remember.
PORT_FIRST: Final = 15_000
PORT_LAST: Final = 32_000


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """Random, made once, kept in a file that only its owner can read."""

    cluster_name: str
    superuser_password: str
    database_password: str
    access_key: str
    secret_key: str
    volume_key: str


class DataDirectory:
    """`path` and what stands in it. Entered as a context it is locked."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock_fd: int | None = None

    def lock(self) -> None:
        """Make the folder where needed and take its lock.

        Raises `DataDirectoryBusyError` with the pid of the server that holds it.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.make("run")
            self.make("logs")
            lock_fd = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise EmbeddedServiceError(
                f"the data directory {self.path} cannot be used: {error}. Make it writable or set HOLDFAST_DATA_DIR"
            ) from error
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock_fd, 32, 0).decode(errors="replace").strip()
            os.close(lock_fd)
            pid = int(holder) if holder.isdigit() else None
            raise DataDirectoryBusyError(
                f"another server (pid {pid or 'unknown'}) already runs on {self.path}: "
                "stop it, or give this one another HOLDFAST_DATA_DIR",
                pid,
            ) from None
        os.ftruncate(lock_fd, 0)
        os.pwrite(lock_fd, str(os.getpid()).encode(), 0)
        self._lock_fd = lock_fd

    def unlock(self) -> None:
        """Release the lock; the file stays, because removing it would let two servers lock two files."""
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def make(self, name: str) -> Path:
        """A folder inside, made where it is missing."""
        folder = self.path / name
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def load_credentials(self) -> Credentials:
        """Those of the first start. Raises `EmbeddedServiceError` where the file cannot be read."""
        path = self.path / "credentials.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=Credentials)
        except FileNotFoundError:
            pass
        except msgspec.MsgspecError as error:
            raise EmbeddedServiceError(
                f"{path} cannot be read ({error}): restore it; without it neither database nor bucket opens"
            ) from error
        made = Credentials(
            cluster_name=f"holdfast-{secrets.token_hex(6)}",
            superuser_password=secrets.token_urlsafe(24),
            database_password=secrets.token_urlsafe(24),
            access_key=secrets.token_hex(10),
            secret_key=secrets.token_urlsafe(30),
            volume_key=secrets.token_urlsafe(30),
        )
        write_private_file(path, msgspec.json.format(msgspec.json.encode(made)))
        return made

    def load_ports(self) -> dict[str, int]:
        """The ports of the last start by their names; none at the first, or where the file is not readable."""
        try:
            ports = json.loads((self.path / "ports.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return ports if isinstance(ports, dict) else {}

    def save_ports(self, ports: dict[str, int]) -> None:
        write_private_file(self.path / "ports.json", json.dumps(ports, indent=2).encode())


def write_private_file(path: Path, content: bytes) -> None:
    """Replace the file as a whole, durably, readable by its owner alone from its first byte."""
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
