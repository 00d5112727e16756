"""`holdfast upload FILE`, as a person meets it: a progress bar, the outcome in words or as JSON, exit codes.

Exit codes: 0 the server has certified the file, 1 it could not be done, 2 wrong use, 130 stopped by
the person; after 1 and 130 the same command goes on where it was.
"""

import asyncio
import mimetypes
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

import msgspec

from client_py.local.h11_http import InvalidServerUrlError, parse_server_url
from client_py.local.progress_bar import ProgressBar
from client_py.local.source_file import SourceError, read_source
from client_py.local.upload import Uploaded, UploadFailedError, upload
from client_py.local.upload_state import UploadStateError, default_state_folder

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_WRONG_USE: Final = 2
EXIT_STOPPED: Final = 130
UNKNOWN_TYPE: Final = "application/octet-stream"


def run_upload(
    path: Path, *, server: str, state_folder: Path | None, mime_type: str | None, title: str | None, is_json: bool
) -> int:
    """Run the word; its exit code."""
    try:
        parse_server_url(server)
    except InvalidServerUrlError as error:
        _complain(str(error))
        return EXIT_WRONG_USE
    bar = ProgressBar(sys.stderr)

    async def work() -> Uploaded:
        source = await asyncio.to_thread(read_source, path, bar.show_reading)
        return await upload(
            source,
            server=server.rstrip("/"),
            state_folder=state_folder or default_state_folder(),
            mime_type=mime_type or mimetypes.guess_type(path.name)[0] or UNKNOWN_TYPE,
            title=title or path.name,
            on_progress=bar.show,
            on_words=bar.say,
        )

    try:
        done = asyncio.run(_until_signal(work()))
    except (UploadFailedError, SourceError, UploadStateError) as error:
        bar.end()
        _complain(str(error))
        return EXIT_FAILED
    except asyncio.CancelledError:
        bar.end()
        _complain("stopped; the same command goes on where it was")
        return EXIT_STOPPED
    bar.end()
    print(msgspec.json.encode(done).decode() if is_json else _describe(done))
    return EXIT_OK


async def _until_signal(work: Coroutine[Any, Any, Uploaded]) -> Uploaded:
    task = asyncio.create_task(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    return await task


def _describe(done: Uploaded) -> str:
    verb = "was sent before" if done.was_there else "is safe"
    return (
        f"{done.path} {verb}: recording {done.recording_id}\n"
        f"{done.size} bytes in {done.chunks} chunks, verified in ledger and bucket; root {done.root}"
    )


def _complain(message: str) -> None:
    print(f"holdfast: {message}", file=sys.stderr)
