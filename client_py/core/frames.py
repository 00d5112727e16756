"""The binary form of the local log: a file header, then frames that each stand for themselves.

A reader takes exactly the frames whose magic, lengths and CRC agree, whatever the file's length
says; after a bad one it looks for the next magic. The CRC is seeded with the file's own name, so
a block left over from another file is never taken for a frame of this one.

Integers are big-endian. A file begins with 16 bytes:

    at  bytes
     0      8  magic  48 46 4C 4F 47 0D 0A 1A  ("HFLOG", CR, LF, SUB)
     8      2  version, 1
    10      2  what the file holds: 1 journal, 2 slices
    12      4  CRC-32 of the 12 bytes before

Then frames follow, with nothing between them:

     0      4  magic  F5 48 46 0A
     4      1  kind: 1 slice, 2 journal record
     5      1  0
     6      2  length of the header, H
     8      4  length of the body, L
    12      4  CRC-32 of the file's "<folder>/<name>", the bytes 4 to 11, header and body
    16      H  header
  16+H      L  body
"""

import struct
import zlib
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

from msgspec import Struct

VERSION: Final = 1
FILE_HEADER_BYTES: Final = 16
FRAME_HEADER_BYTES: Final = 16
# Half of what the length field holds: a damaged length must not be believed for gigabytes.
FRAME_BODY_MAX_BYTES: Final = 1 << 31

_FILE_MAGIC: Final = b"HFLOG\r\n\x1a"
_FRAME_MAGIC: Final = b"\xf5HF\n"
_FILE_HEADER: Final = struct.Struct(">8sHH")
_FRAME_HEADER: Final = struct.Struct(">BBHI")  # between magic and CRC
_CRC: Final = struct.Struct(">I")


class FileKind(IntEnum):
    """What a file of the log holds."""

    JOURNAL = 1
    SLICES = 2


class FrameKind(IntEnum):
    """What a frame holds."""

    SLICE = 1
    RECORD = 2


class NewerVersionError(Exception):
    """The file was written by a newer version of this program; it must be left as it is."""

    def __init__(self, name: str, version: int) -> None:
        super().__init__(
            f"{name} has version {version} of the log, this page reads version {VERSION}: "
            "nothing was changed; load the newest page to go on with it"
        )


class Frame(Struct, frozen=True):
    """A frame that was read right; `offset` is that of its body in the file."""

    kind: int
    header: bytes
    body: bytes
    offset: int


class Damage(Struct, frozen=True):
    """Bytes that are no frame. `is_tail`: nothing good follows, as after a write that did not finish.

    `is_cut_off`: a tail that begins like a frame and ends before that frame would, so nobody was
    ever told that it is saved.
    """

    offset: int
    size: int
    is_tail: bool
    is_cut_off: bool


def encode_file_header(kind: FileKind) -> bytes:
    """The first 16 bytes of a file."""
    fields = _FILE_HEADER.pack(_FILE_MAGIC, VERSION, kind)
    return fields + _CRC.pack(zlib.crc32(fields))


def encode_frame(path: str, kind: FrameKind, header: bytes, body: bytes) -> bytes:
    """One frame for the file `path` (`<folder>/<name>`). Raises `ValueError` for a body over the bound."""
    if len(body) > FRAME_BODY_MAX_BYTES:
        raise ValueError(f"a frame holds at most {FRAME_BODY_MAX_BYTES} bytes, got {len(body)}")
    fields = _FRAME_HEADER.pack(kind, 0, len(header), len(body))
    return b"".join((_FRAME_MAGIC, fields, _CRC.pack(_frame_crc(path, fields, header, body)), header, body))


def read_frames(path: str, content: bytes) -> Iterator[Frame | Damage]:
    """The frames of a file in order, and the damage between and behind them.

    Raises `NewerVersionError` before anything else where a sound file header says so. A damaged
    file header is reported like any other damage, because each frame stands for itself.
    """
    if not content:
        return
    position = _skip_file_header(path, content)
    damaged_from: int | None = None
    if position == 0:
        damaged_from = 0
        position = _next_magic(content, 0)
    while position < len(content):
        frame = _read_frame(path, content, position)
        if frame is None:
            damaged_from = position if damaged_from is None else damaged_from
            position = _next_magic(content, position + 1)
            continue
        if damaged_from is not None:
            yield Damage(damaged_from, position - damaged_from, is_tail=False, is_cut_off=False)
            damaged_from = None
        yield frame
        position = frame.offset + len(frame.body)
    if damaged_from is not None:
        # What a loss of power leaves of a write may have zeros behind it.
        is_cut_off = _is_cut_off(content[damaged_from:].rstrip(b"\0"))
        yield Damage(damaged_from, len(content) - damaged_from, is_tail=True, is_cut_off=is_cut_off)


def _skip_file_header(path: str, content: bytes) -> int:
    """The offset behind a sound file header, 0 where it is damaged or cut off."""
    header = content[:FILE_HEADER_BYTES]
    if len(header) < FILE_HEADER_BYTES:
        return 0
    fields, (crc,) = header[: _FILE_HEADER.size], _CRC.unpack(header[_FILE_HEADER.size :])
    magic, version, _ = _FILE_HEADER.unpack(fields)
    if magic != _FILE_MAGIC or zlib.crc32(fields) != crc:
        return 0
    if version > VERSION:
        raise NewerVersionError(path, version)
    return FILE_HEADER_BYTES


def _next_magic(content: bytes, start: int) -> int:
    found = content.find(_FRAME_MAGIC, start)
    return len(content) if found < 0 else found


def _is_cut_off(tail: bytes) -> bool:
    if len(tail) < FRAME_HEADER_BYTES:
        return _FRAME_MAGIC.startswith(tail[: len(_FRAME_MAGIC)]) or _FILE_MAGIC.startswith(tail[: len(_FILE_MAGIC)])
    _, _, header_size, body_size = _FRAME_HEADER.unpack_from(tail, len(_FRAME_MAGIC))
    return tail.startswith(_FRAME_MAGIC) and len(tail) < FRAME_HEADER_BYTES + header_size + body_size


def _read_frame(path: str, content: bytes, position: int) -> Frame | None:
    fields = content[position + len(_FRAME_MAGIC) : position + FRAME_HEADER_BYTES - _CRC.size]
    if not content.startswith(_FRAME_MAGIC, position) or len(content) < position + FRAME_HEADER_BYTES:
        return None
    kind, _, header_size, body_size = _FRAME_HEADER.unpack(fields)
    header_start = position + FRAME_HEADER_BYTES
    body_start, end = header_start + header_size, header_start + header_size + body_size
    if end > len(content):
        return None
    (crc,) = _CRC.unpack_from(content, header_start - _CRC.size)
    header, body = content[header_start:body_start], content[body_start:end]
    if _frame_crc(path, fields, header, body) != crc:
        return None
    return Frame(kind, header, body, body_start)


def _frame_crc(path: str, fields: bytes, header: bytes, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(header, zlib.crc32(fields, zlib.crc32(path.encode()))))
