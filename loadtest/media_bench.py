"""`make bench-media`: how long a finished file takes, in how much memory, and how soon one hears its middle.

Two recordings on one fresh server, a short one and a long one of the same kind: what grows with the
length shows by itself. The media is real codecs' packets (Opus; with KIND=video also VP8 of a camera's rate),
written as a browser writes them.
"""

import hashlib
import os
import shutil
import sys
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

import av
import httpx
import psutil

from loadtest.k6_run import LoadError
from loadtest.machine import describe_machine
from loadtest.served import Served, serve
from server.storage.keys import new_uuid7
from tests.server.media.recorded import record_in_pieces

ROOT: Final = Path(__file__).resolve().parent.parent
MINUTES_SHORT: Final = 10
MINUTES_DEFAULT: Final = 120
SECONDS_A_CHUNK: Final = 2  # as a browser seals them
KINDS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "audio": ("audio/webm;codecs=opus", {}),
    "video": ("video/webm;codecs=vp8,opus", {"video": "libvpx", "size": 320, "bits_per_s": 1_000_000}),
}
_SENDERS: Final = 4
_SAMPLE_S: Final = 0.1
_MADE_S_MAX: Final = 1_800
_SEEK_SHARES: Final = (0.5, 0.99, 0.25, 0.75)
# By a part of their command lines.
_WATCHED: Final = {"API process": "server.worker_process", "libav child": "server.media.libav.child"}


@dataclass
class MemoryWatch(threading.Thread):
    """The resident memory of each kind of process below `root_pid`, the largest of a kind counts, until `finish`."""

    root_pid: int
    seen: dict[str, list[int]] = field(default_factory=dict)  # in bytes, one look after the other
    _is_over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        root = psutil.Process(self.root_pid)
        while not self._is_over.wait(_SAMPLE_S):
            now: dict[str, int] = {}
            for process in root.children(recursive=True):
                with suppress(psutil.Error):
                    command = " ".join(process.cmdline())
                    for kind, mark in _WATCHED.items():
                        if mark in command:
                            now[kind] = max(now.get(kind, 0), process.memory_info().rss)
            for kind, byte_count in now.items():
                self.seen.setdefault(kind, []).append(byte_count)

    def finish(self) -> dict[str, list[int]]:
        """Stop looking; the largest of each quarter of the time, by kind."""
        self._is_over.set()
        self.join()
        return {kind: [max(quarter) for quarter in _quarters(looks)] for kind, looks in self.seen.items()}


def _quarters(looks: list[int]) -> list[list[int]]:
    step = max(1, -(-len(looks) // 4))
    return [looks[begin : begin + step] for begin in range(0, len(looks), step)]


@dataclass(frozen=True)
class Measured:
    """One recording's figures."""

    minutes: int
    byte_count: int
    chunk_count: int
    made_s: float
    duration_error_s: float
    memory: dict[str, list[int]]  # by kind of process, the largest of each quarter of the time
    seeks_s: list[float]


def measure(served: Served, kind: str, minutes: int) -> Measured:
    """Send a recording of so many minutes, complete it, and look at what is made of it. Raises `LoadError`."""
    mime_type, shape = KINDS[kind]
    with httpx.Client(base_url=served.url, timeout=120, trust_env=False) as client:
        path, byte_count, manifest = _send(client, mime_type, record_in_pieces(minutes * 60, **shape))
        watch = MemoryWatch(served.pid)
        watch.start()
        _complete(client, path, mime_type, manifest)
        started_s = time.perf_counter()
        media = _wait_until_made(client, path)
        made_s = time.perf_counter() - started_s
        memory = watch.finish()
        seeks_s = [_seek(f"{served.url}{path}/media", kind, share * minutes * 60) for share in _SEEK_SHARES]
    return Measured(
        minutes, byte_count, len(manifest), made_s, abs(media["duration_s"] - minutes * 60), memory, seeks_s
    )


def _send(client: httpx.Client, mime_type: str, pieces: Iterator[bytes]) -> tuple[str, int, list[dict[str, Any]]]:
    recording_id = str(new_uuid7())
    path = f"/api/recordings/{recording_id}"
    started_at = f"{datetime.now(UTC):%FT%TZ}"
    registration = {"recording_id": recording_id, "mime_type": mime_type, "started_at": started_at}
    _demand(client.post("/api/recordings", json=registration), 201)

    def put(numbered: tuple[int, bytes]) -> dict[str, Any]:
        index, body = numbered
        digest = hashlib.sha256(body)
        headers = {"Content-Digest": f"sha-256=:{b64encode(digest.digest()).decode()}:", "Chunk-Run": "0"}
        _demand(client.put(f"{path}/chunks/{index}", content=body, headers=headers), 201)
        return {"run": 0, "chunk_index": index, "size": len(body), "sha256": digest.hexdigest()}

    bodies = enumerate(b"".join(some) for some in _in_groups(piece for piece in pieces if piece))
    manifest: list[dict[str, Any]] = []
    with ThreadPoolExecutor(_SENDERS) as threads:
        while some := list(islice(bodies, _SENDERS * 8)):  # never the whole recording in memory
            manifest += threads.map(put, some)
    return path, sum(entry["size"] for entry in manifest), manifest


def _in_groups(pieces: Iterable[bytes]) -> Iterator[list[bytes]]:
    group: list[bytes] = []
    for piece in pieces:
        group.append(piece)
        if len(group) == SECONDS_A_CHUNK:
            yield group
            group = []
    if group:
        yield group


def _complete(client: httpx.Client, path: str, mime_type: str, manifest: list[dict[str, Any]]) -> None:
    body = {"runs": [{"run": 0, "mime_type": mime_type}], "chunks": manifest, "ended": "stopped"}
    while (answer := client.post(f"{path}/complete", json=body)).status_code == 202:
        pass
    _demand(answer, 200)


def _wait_until_made(client: httpx.Client, path: str) -> dict[str, Any]:
    deadline_s = time.monotonic() + _MADE_S_MAX
    while time.monotonic() < deadline_s:
        media: dict[str, Any] | None = client.get(path).json().get("media")
        if media is not None:
            if media["state"] != "whole":
                raise LoadError(f"the file is {media['state']}: {media.get('detail')}")
            return media
        time.sleep(_SAMPLE_S)
    raise LoadError(f"nothing was made within {_MADE_S_MAX} s")


def _seek(url: str, kind: str, at_s: float) -> float:
    """Seconds until a player that opens the address has decoded sound, or a picture, from there. Raises `LoadError`."""
    started_s = time.perf_counter()
    with av.open(url, "r") as container:
        container.seek(int(at_s * 1_000_000))
        frame = next(container.decode(video=0) if kind == "video" else container.decode(audio=0))
    took_s = time.perf_counter() - started_s
    if frame.time is None or not at_s - 10 < frame.time <= at_s + 1:
        raise LoadError(f"asked for {at_s:.0f} s and got {frame.time}")
    return took_s


def _demand(answer: httpx.Response, status: int) -> None:
    if answer.status_code != status:
        raise LoadError(f"{answer.request.method} {answer.url.path}: {answer.status_code} {answer.text[:300]}")


def format_result(kind: str, results: list[Measured]) -> str:
    """The result as a page that says how to get it again."""
    again = f"again: `make bench-media KIND={kind} MINUTES={max(r.minutes for r in results)}`"
    what = "Sound (Opus)" if kind == "audio" else "Pictures (VP8 of noise, 320 by 320, 2.4 Mbit/s) and sound (Opus)"
    head = "\n".join(f"- {line}" for line in [*describe_machine(), again])
    rows = "".join(
        f"| {r.minutes} min, {r.byte_count / 1e6:.0f} MB, {r.chunk_count} chunks | {r.made_s:.1f} s"
        f" | {_in_mb(r.memory.get('libav child', []))} | {_in_mb(r.memory.get('API process', []))}"
        f" | {max(r.seeks_s) * 1000:.0f} ms | {r.duration_error_s * 1000:.0f} ms |\n"
        for r in results
    )
    return (
        f"# Finished files\n\n{head}\n\n"
        f"{what} in WebM as a browser writes it, sent in chunks of 2 s.\n"
        "From the certificate to the seekable file with what belongs to it;"
        " the largest resident memory of the child and of an\n"
        "API process in each quarter of that time; the longest of four seeks, each from opening the address to what\n"
        "is decoded there; how far the file's duration is from the recording's.\n\n"
        "| recording | made in | child | API process | seek | duration off by |\n|---|---|---|---|---|---|\n" + rows
    )


def _in_mb(quarters: list[int]) -> str:
    return ", ".join(f"{byte_count / 1e6:.0f}" for byte_count in quarters) + " MB"


def main() -> int:
    """Measure both and write the page; 0 unless something could not be measured."""
    port = int(os.environ.get("HOLDFAST_PORT") or "3000")
    minutes = int(os.environ.get("MINUTES") or MINUTES_DEFAULT)
    kind = os.environ.get("KIND") or "audio"
    if kind not in KINDS:
        print(f"bench-media: KIND is {kind!r}; expected {' or '.join(KINDS)}", file=sys.stderr)
        return 1
    (ROOT / ".build").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-media-", dir=ROOT / ".build"))
    results: list[Measured] = []
    try:
        with serve(folder, port) as served:
            # The short one twice: what a second one adds is the allocator's, and no matter of length.
            for length in (minutes,) if minutes <= MINUTES_SHORT else (MINUTES_SHORT, MINUTES_SHORT, minutes):
                print(f"bench-media: {length} minutes ...", flush=True)
                results.append(measure(served, kind, length))
    except LoadError as error:
        print(f"bench-media: {error}\nbench-media: logs are in {folder.relative_to(ROOT)}", file=sys.stderr)
        return 1
    shutil.rmtree(folder)
    text = format_result(kind, results)
    result = ROOT / "loadtest" / "results" / f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}-bench-media.md"
    result.parent.mkdir(exist_ok=True)
    result.write_text(text)
    print(f"{text}\nbench-media: written to {result.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
