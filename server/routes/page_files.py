"""Finds a file of the built page by its name in an address: never outside its folder, with the right type.

Where the build left a compressed twin beside the file (`.br`, `.gz`) and the browser takes it, that
one is sent.
"""

import asyncio
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

# Letters, digits and a few signs, no segment that begins with a dot: so no way up and no hidden file.
_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*", re.ASCII)

# The framework adds the charset, which is UTF-8 for every text of ours.
_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".json": "application/json",
    ".map": "application/json",
    ".webmanifest": "application/manifest+json",
    ".wasm": "application/wasm",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain",
    ".whl": "application/zip",
    ".zip": "application/zip",
}
_OTHER_TYPE: Final = "application/octet-stream"

_TWINS: Final = (("br", ".br"), ("gzip", ".gz"))


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file as it is to be sent; `encoding` is empty where it goes as it is."""

    content: bytes = field(repr=False)
    media_type: str
    encoding: str
    etag: str


async def find_page_file(web_dir: Path, name: str, accept_encoding: str) -> PageFile | None:
    """The file `name` (with `/` between segments) below `web_dir`, or None where there is none."""
    if _NAME.fullmatch(name) is None:
        return None
    return await asyncio.to_thread(_read, web_dir, name, _accepted(accept_encoding))


def _read(web_dir: Path, name: str, accepted: frozenset[str]) -> PageFile | None:
    plain = web_dir / name
    for encoding, path in (*((e, Path(f"{plain}{twin}")) for e, twin in _TWINS if e in accepted), ("", plain)):
        try:
            # A link that leads out of the folder is not the build's.
            if not path.resolve(strict=True).is_relative_to(web_dir.resolve()) or not plain.is_file():
                continue
            content, status = path.read_bytes(), path.stat()
        except OSError:
            continue
        etag = f'"{status.st_mtime_ns:x}-{status.st_size:x}{"-" + encoding if encoding else ""}"'
        return PageFile(content, _TYPES.get(plain.suffix, _OTHER_TYPE), encoding, etag)
    return None


def _accepted(accept_encoding: str) -> frozenset[str]:
    """The codings that are named without `q=0`."""
    names = []
    for item in accept_encoding.lower().split(","):
        name, _, weight = item.partition(";")
        if re.fullmatch(r"\s*q=0(\.0*)?\s*", weight) is None:
            names.append(name.strip())
    return frozenset(names)
