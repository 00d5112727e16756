"""Sends a file as a recording, through the same core and runtime as a page: killed and started again, it goes on.

It composes adapters, feeds the worker as a page's window would, and believes in the end only the
server's certificate, compared with the file's own digests.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from client_py.local.disk_file_tree import DiskFileTree
from client_py.local.file_window import FileWindow
from client_py.local.h11_http import H11Http
from client_py.local.memory_locks import MemoryLocks, MemoryLockSpace
from client_py.local.memory_tabs import MemoryChannel, MemoryTabs
from client_py.local.source_file import SourceFile
from client_py.local.system_clock import SystemClock
from client_py.local.system_entropy import SystemEntropy
from client_py.local.upload_state import UploadState, open_abandoned, open_upload
from client_py.messages import Boot, RecordingView, Settings
from client_py.ports import NetworkError
from client_py.runtime import Runtime
from protocol.decoding import UndecodableError, decode_json
from protocol.limits import TITLE_MAX_CHARS
from protocol.wire import Certificate, Health, RecordingTitle

_T = TypeVar("_T")

ANSWER_S_MAX: Final = 60.0
WAIT_S: Final = 0.5  # how often it is looked at, where nothing is heard
# A recording that has everything and a problem, and no certificate for so long, will have none.
UNCERTIFIED_S_MAX: Final = 60.0


class UploadFailedError(Exception):
    """The file cannot be sent, or not now; the message says why and what to do."""


class Progress(Struct, frozen=True, kw_only=True):
    """How far it is. `words`: what it waits for, empty where all goes well."""

    recording_id: str
    size: int
    bytes_saved: int  # in the local log, or past it
    bytes_acknowledged: int
    bytes_verified: int
    words: str


class Uploaded(Struct, frozen=True, kw_only=True):
    """What became of the file."""

    recording_id: str
    server: str
    path: str
    size: int
    chunks: int
    root: str
    was_there: bool  # an earlier run had finished it


async def upload(
    source: SourceFile,
    *,
    server: str,
    state_folder: Path,
    mime_type: str,
    title: str,
    on_progress: Callable[[Progress], None],
    on_words: Callable[[str], None],
) -> Uploaded:
    """Send the file, or go on with it. Raises `UploadFailedError`, `SourceError`, `UploadStateError`."""
    http, path = H11Http(server), source.path.resolve()
    await _check_server(http, server, on_words)
    with open_abandoned(state_folder, server, path, source.content_id) as abandoned:
        for state in abandoned:
            on_words(
                f"{path.name} changed since an upload of it was begun. What was read of it before stays recording "
                f"{state.upload.recording_id or '(none)'}; the file as it is now becomes another"
            )
            await _deliver(state, None, http, mime_type, on_progress)
            state.drop()
    with open_upload(state_folder, server, path, source.content_id) as state:
        was_there = state.upload.is_complete
        if was_there and (certificate := await _fetch_certificate(http, state.upload.recording_id)) is not None:
            return _uploaded(certificate, source, server, was_there=True)
        if was_there:
            on_words(f"recording {state.upload.recording_id} is no longer on the server: the file is sent again")
            state.note(recording_id="", is_complete=False)
        recording_id = await _deliver(state, source, http, mime_type, on_progress)
        certificate = await _fetch_certificate(http, recording_id)
        if certificate is None:
            raise UploadFailedError(f"the certificate of recording {recording_id} is gone again. Start again")
        if [entry.sha256 for entry in certificate.manifest.chunks] != [digest.hex() for digest in source.digests]:
            state.drop_log()
            state.note(recording_id="")
            raise UploadFailedError(
                f"recording {recording_id} is not the whole file: this device lost a part of what it had saved. "
                "Start again: the file is sent once more, as another recording"
            )
        state.note(recording_id=recording_id, is_complete=True)
        state.drop_log()
        await _name(http, recording_id, title)
        return _uploaded(certificate, source, server, was_there=False)


async def _deliver(
    state: UploadState,
    source: SourceFile | None,
    http: H11Http,
    mime_type: str,
    on_progress: Callable[[Progress], None],
) -> str:
    """Run a client on the upload's log until the server has certified what it holds; the recording's id."""
    clock = SystemClock()
    window = FileWindow(
        source,
        mime_type=mime_type,
        unix_ms=clock.unix_ms,
        on_recording_id=lambda recording_id: state.note(recording_id=recording_id),
    )
    runtime = Runtime(
        files=DiskFileTree(state.log_folder),
        http=http,
        clock=clock,
        entropy=SystemEntropy(),
        locks=MemoryLocks(MemoryLockSpace(), "upload"),
        tabs=MemoryTabs(MemoryChannel()),
        window=window,
    )
    window.connect(runtime.receive)
    known = state.upload.recording_id
    window.recording_id = known if (state.log_folder / known).is_dir() else ""
    settings = Settings(verify_after_s=0.2)
    if source is not None:
        settings = msgspec.structs.replace(settings, chunk_bytes=source.slice_bytes)
    live_id = window.recording_id if source and window.recording_id else None
    runtime.receive(Boot(epoch=1, settings=settings, formats=[], is_online=True, live_recording_id=live_id))
    running = asyncio.create_task(runtime.run())
    try:
        await watch(window, running, source, on_progress)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return window.recording_id


async def watch(
    window: FileWindow,
    running: "asyncio.Task[None]",
    source: SourceFile | None,
    on_progress: Callable[[Progress], None],
) -> None:
    """Feed the worker and look at what it shows, until everything is certified. Raises `UploadFailedError`."""
    loop = asyncio.get_running_loop()
    moving_at, last_row = loop.time(), window.row
    while not _is_over(window, source):
        if running.done():
            raise running.exception() or UploadFailedError("the client ended by itself")
        window.changed.clear()
        window.feed()
        if (row := window.row) != last_row:
            moving_at, last_row = loop.time(), row
        _raise_what_cannot_be_helped(window, row, loop.time() - moving_at)
        if source is not None:
            on_progress(_progress(window, row, source))
        waiting = asyncio.create_task(window.changed.wait())
        await asyncio.wait({waiting, running}, timeout=WAIT_S, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
    if source is not None:
        on_progress(_progress(window, window.row, source))  # also where all of it came between two looks


def _is_over(window: FileWindow, source: SourceFile | None) -> bool:
    row, view = window.row, window.view
    if source is not None:
        return row is not None and row.state == "complete"
    return view is not None and not view.is_recovering and all(each.state == "complete" for each in view.recordings)


def _raise_what_cannot_be_helped(window: FileWindow, row: RecordingView | None, still_s: float) -> None:
    view = window.view
    if window.failure:
        raise UploadFailedError(window.failure)
    if view is not None and view.alarm and row is None and not view.is_recovering:
        raise UploadFailedError(view.alarm)
    if row is None or row.is_live or not row.problem:
        return
    is_all_answered = row.chunks_acknowledged + row.chunks_parked == row.chunks_sealed
    if is_all_answered and (row.chunks_parked or still_s > UNCERTIFIED_S_MAX):
        raise UploadFailedError(f"recording {row.recording_id}: {row.problem}")


def _progress(window: FileWindow, row: RecordingView | None, source: SourceFile) -> Progress:
    def bytes_of(slices: int) -> int:
        return min(source.size, slices * source.slice_bytes)

    return Progress(
        recording_id=window.recording_id,
        size=source.size,
        bytes_saved=bytes_of(row.slices_durable) if row else 0,
        bytes_acknowledged=bytes_of(row.chunks_acknowledged) if row else 0,
        bytes_verified=bytes_of(row.chunks_verified) if row else 0,
        words=(window.view.alarm or window.view.server) if window.view else "",
    )


async def _check_server(http: H11Http, server: str, on_words: Callable[[str], None]) -> None:
    """Refuse what is clearly no Holdfast; one that does not answer at the moment is waited for."""
    try:
        answer = await http.request("GET", "/api/health/live", headers={}, body=None, timeout_s=ANSWER_S_MAX)
    except NetworkError as error:
        on_words(f"{server} does not answer ({error}). It is tried again by itself; Ctrl-C stops, and nothing is lost")
        return
    if 300 <= answer.status < 400:
        raise UploadFailedError(f"{server} points to {answer.headers.get('location', 'elsewhere')}: give that one")
    if answer.status < 500 and _decode(answer.body, Health) is None:
        raise UploadFailedError(f"what answers at {server} is no Holdfast server (status {answer.status})")


async def _fetch_certificate(http: H11Http, recording_id: str) -> Certificate | None:
    """None where there is none (any more)."""
    path = f"/api/recordings/{recording_id}/certificate"
    try:
        answer = await http.request("GET", path, headers={}, body=None, timeout_s=ANSWER_S_MAX)
    except NetworkError as error:
        raise UploadFailedError(f"the server went away ({error}). Start again when it is back") from error
    if answer.status in (404, 410):
        return None
    certificate = _decode(answer.body, Certificate) if answer.status == 200 else None
    if certificate is None or str(certificate.recording_id) != recording_id:
        raise UploadFailedError(f"the server gives no certificate (status {answer.status}). Start again later")
    return certificate


async def _name(http: H11Http, recording_id: str, title: str) -> None:
    """A title is for people's lists; the recording is safe without it."""
    body = msgspec.json.encode(RecordingTitle(title=title[:TITLE_MAX_CHARS]))
    headers = {"content-type": "application/json"}
    try:
        await http.request("PATCH", f"/api/recordings/{recording_id}", headers=headers, body=body, timeout_s=10.0)
    except NetworkError:
        return


def _uploaded(certificate: Certificate, source: SourceFile, server: str, *, was_there: bool) -> Uploaded:
    return Uploaded(
        recording_id=str(certificate.recording_id),
        server=server,
        path=str(source.path),
        size=certificate.byte_count,
        chunks=certificate.chunk_count,
        root=certificate.root,
        was_there=was_there,
    )


def _decode(body: bytes, form: type[_T]) -> _T | None:
    try:
        return decode_json(body, form)
    except UndecodableError:
        return None
