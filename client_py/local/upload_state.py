"""What outlives a killed upload, in a folder of its own for each server and content.

    <state folder>/<key>/upload.json   what is being sent, and the recording it becomes
                         lock          held while a process works on it
                         log/          the local log, as docs/LOCAL_LOG.md describes it

The key is made of the server's address and the file's contents. So a changed file is another
upload, and two files never share a log.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from client_py.local.disk_file_tree import sync_folder

STATE_VERSION: Final = 1


class UploadStateError(Exception):
    """The state folder cannot be used; the message says why and what to do."""


class Upload(Struct, frozen=True, kw_only=True):
    """One file on its way to one server."""

    version: int
    server: str
    path: str
    content_id: str
    recording_id: str = ""  # empty until the recording is about to take its first slice
    is_complete: bool = False  # the certificate came and is of these bytes


class UploadState:
    """One upload's folder, which this process alone works in."""

    def __init__(self, folder: Path, upload: Upload) -> None:
        self._folder: Final = folder
        self.upload = upload

    @property
    def log_folder(self) -> Path:
        """The root of the local log."""
        return self._folder / "log"

    def note(self, **changes: object) -> None:
        """Change the upload and have it on the device, whole or not at all. Raises `UploadStateError`."""
        self.upload = msgspec.structs.replace(self.upload, **changes)
        new = self._folder / "upload.json.new"
        try:
            with new.open("wb") as file:
                file.write(msgspec.json.encode(self.upload))
                file.flush()
                os.fsync(file.fileno())
            new.rename(self._folder / "upload.json")
            sync_folder(self._folder)
        except OSError as error:
            raise UploadStateError(f"{self._folder} cannot be written: {error.strerror}") from error

    def drop_log(self) -> None:
        """The server has everything: the copies here may go."""
        shutil.rmtree(self.log_folder, ignore_errors=True)

    def drop(self) -> None:
        """Forget this upload."""
        shutil.rmtree(self._folder, ignore_errors=True)


def default_state_folder() -> Path:
    """Where people's programs keep state (XDG): an upload is found again from any working directory."""
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".local" / "state") / "holdfast" / "uploads"


@contextmanager
def open_upload(root: Path, server: str, path: Path, content_id: str) -> Iterator[UploadState]:
    """The upload's state, as it was left or new. Raises `UploadStateError`."""
    key = hashlib.sha256(f"{server}\n{content_id}".encode()).hexdigest()[:32]
    fresh = Upload(version=STATE_VERSION, server=server, path=str(path), content_id=content_id)
    try:
        (root / key).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UploadStateError(f"{root} cannot be made: {error.strerror}. Choose another --state-dir") from error
    with _locked(root / key) as is_ours:
        if not is_ours:
            raise UploadStateError("another process is sending this file to this server just now; let it finish")
        found = _read(root / key)
        state = UploadState(root / key, found or fresh)
        if found is None:
            state.note()
        yield state


@contextmanager
def open_abandoned(root: Path, server: str, path: Path, content_id: str) -> Iterator[list[UploadState]]:
    """Unfinished uploads of the same path to the same server with other contents, unless a process works on them.

    No other upload's lock is touched: its process may be about to take it.
    """

    def read_if_abandoned(folder: Path) -> Upload | None:
        try:
            upload = _read(folder)
        except UploadStateError:  # whatever it is, it is told when that file is sent
            return None
        is_of_this_path = upload is not None and (upload.server, upload.path) == (server, str(path))
        is_abandoned = upload is not None and upload.content_id != content_id and not upload.is_complete
        return upload if is_of_this_path and is_abandoned else None

    with ExitStack() as locks:
        states: list[UploadState] = []
        for folder in sorted(root.glob("*/")):
            if read_if_abandoned(folder) is None or not locks.enter_context(_locked(folder)):
                continue
            upload = read_if_abandoned(folder)  # as it is under the lock
            if upload is not None:
                states.append(UploadState(folder, upload))
        yield states


def _read(folder: Path) -> Upload | None:
    try:
        upload = msgspec.json.decode((folder / "upload.json").read_bytes(), type=Upload)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise UploadStateError(f"{folder}/upload.json cannot be read: {error}. It was left as it is") from error
    if upload.version > STATE_VERSION:
        raise UploadStateError(
            f"{folder} was written by a newer holdfast (version {upload.version} of the state, this one knows "
            f"{STATE_VERSION}). It was left as it is; use the newer one"
        )
    return upload


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Whether the folder's lock is ours; the lock of a process that died is free."""
    with (folder / "lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
