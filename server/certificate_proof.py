"""Proves a certificate from downloaded bytes alone: nothing of it is believed that cannot be computed again.

It shares no code with what makes certificates and imports the standard library only, so that it can be
read whole, copied to another machine and run there: `python certificate_proof.py certificate.json BYTES…`.
The Merkle tree hash is written as RFC 6962, section 2.1, defines it, not as the server computes it.
"""

import hashlib
import json
import re
import struct
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

# The server's own bounds: a manifest of 100,000 chunks is about 14 MB of JSON, a chunk has at most 8 MiB.
DOCUMENT_BYTES_MAX: Final = 32 * 1024 * 1024
CHUNK_BYTES_MAX: Final = 8 * 1024 * 1024
# More than these in a report help nobody.
DAMAGED_SHOWN_MAX: Final = 20
_READ_BYTES: Final = 1024 * 1024

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
# These two are shown on a terminal, so they hold nothing that a terminal obeys.
_TIME: Final = re.compile(r"[0-9TZ:.+-]{1,40}")
_VERSION: Final = re.compile(r"[0-9A-Za-z.+-]{1,64}")
_UUID7: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class CertificateError(Exception):
    """The certificate proves nothing: it contradicts itself, or is no certificate. The message says where."""


@dataclass(frozen=True)
class Entry:
    """One chunk of the manifest; `sha256` is the raw digest."""

    run: int
    chunk_index: int
    size: int
    sha256: bytes


@dataclass(frozen=True)
class Statement:
    """What a certificate that agrees with itself says."""

    recording_id: str
    root: str
    byte_count: int
    certified_at: str
    server_version: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Proof:
    """What the bytes show: `damaged` chunks, and how many bytes there were in all."""

    damaged: tuple[int, ...]
    byte_count: int

    def holds_for(self, statement: Statement) -> bool:
        """Whether every byte that the certificate states is there, and none besides."""
        return not self.damaged and self.byte_count == statement.byte_count


def read_statement(document: bytes) -> Statement:
    """The certificate after every check that needs no bytes. Raises `CertificateError`."""
    fields = _decode(document)
    recording_id = _text(fields, "recording_id", _UUID7)
    root = _text(fields, "root", _DIGEST)
    manifest = fields.get("manifest")
    if not isinstance(manifest, dict):
        raise CertificateError("manifest: expected an object")
    runs = [_number(run, "run", f"manifest.runs[{place}]") for place, run in enumerate(_list(manifest, "runs"))]
    if len(set(runs)) != len(runs):
        raise CertificateError("manifest.runs: a run is listed twice")
    entries = tuple(_read_entry(place, item, set(runs)) for place, item in enumerate(_list(manifest, "chunks")))
    byte_count = sum(entry.size for entry in entries)
    for name, computed in (("chunk_count", len(entries)), ("byte_count", byte_count)):
        if type(fields.get(name)) is not int or fields[name] != computed:
            raise CertificateError(f"{name}: it says {fields.get(name)!r}, its manifest says {computed}")
    computed_root = tree_hash([encode(entry) for entry in entries]).hex()
    if root != computed_root:
        raise CertificateError(f"root: it says {root}, its manifest gives {computed_root}")
    return Statement(
        recording_id,
        root,
        byte_count,
        _text(fields, "certified_at", _TIME),
        _text(fields, "server_version", _VERSION),
        entries,
    )


def prove(statement: Statement, pieces: Iterable[bytes]) -> Proof:
    """Hold the recording's bytes, in order and cut anywhere, against the certificate."""
    source = _Source(iter(pieces))
    damaged = [entry.chunk_index for entry in statement.entries if source.digest(entry.size) != entry.sha256]
    return Proof(tuple(damaged), source.count_to_end())


def read_files(paths: Sequence[Path]) -> Iterator[bytes]:
    """The bytes of the files one after another; a folder stands for its files in order of their names."""
    for path in paths:
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            with file.open("rb") as opened:
                while piece := opened.read(_READ_BYTES):
                    yield piece


def encode(entry: Entry) -> bytes:
    """A leaf of the tree: run u32, chunk_index u32, size u64, big-endian, and the digest."""
    return struct.pack(">IIQ", entry.run, entry.chunk_index, entry.size) + entry.sha256


def tree_hash(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1: split at the largest power of two below the number of leaves."""
    if len(leaves) == 0:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + tree_hash(leaves[:split]) + tree_hash(leaves[split:])).digest()


class _Source:
    """Bytes that arrive in pieces, taken by length."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")
        self._count = 0

    def digest(self, size: int) -> bytes:
        """The SHA-256 of the next `size` bytes, of fewer where they end."""
        digest = hashlib.sha256()
        while size and (part := self._take(size)):
            digest.update(part)
            size -= len(part)
        return digest.digest()

    def count_to_end(self) -> int:
        """How many bytes there were from the first to the last."""
        while part := self._take(_READ_BYTES):
            del part
        return self._count

    def _take(self, size: int) -> memoryview:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return self._rest
            self._rest = memoryview(piece)
        part, self._rest = self._rest[:size], self._rest[size:]
        self._count += len(part)
        return part


def _decode(document: bytes) -> dict[str, Any]:
    if len(document) > DOCUMENT_BYTES_MAX:
        raise CertificateError(f"{len(document)} bytes are no certificate: one has at most {DOCUMENT_BYTES_MAX}")
    try:
        fields = json.loads(document.decode("utf-8"), object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise CertificateError(f"not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise CertificateError("expected a JSON object")
    return fields


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Two readers may believe different ones of two fields of one name.
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field stands twice in one object")
    return fields


def _read_entry(place: int, item: Any, runs: set[int]) -> Entry:
    where = f"manifest.chunks[{place}]"
    run, index, size = (_number(item, name, where) for name in ("run", "chunk_index", "size"))
    if index != place:
        raise CertificateError(f"{where}.chunk_index: expected {place}, got {index}")
    if run not in runs:
        raise CertificateError(f"{where}.run: run {run} is not in manifest.runs")
    if not 1 <= size <= CHUNK_BYTES_MAX:
        raise CertificateError(f"{where}.size: expected 1 to {CHUNK_BYTES_MAX}, got {size}")
    return Entry(run, index, size, bytes.fromhex(_text(item, "sha256", _DIGEST, where)))


def _number(item: Any, name: str, where: str) -> int:
    value = item.get(name) if isinstance(item, dict) else None
    if type(value) is not int or not 0 <= value < 1 << 32:
        raise CertificateError(f"{where}.{name}: expected a whole number of 32 bits, got {value!r}")
    return value


def _text(item: dict[str, Any], name: str, pattern: re.Pattern[str] | None = None, where: str = "") -> str:
    value = item.get(name)
    if not isinstance(value, str) or (pattern is not None and pattern.fullmatch(value) is None):
        raise CertificateError(f"{where}{'.' if where else ''}{name}: got {value!r}")
    return value


def _list(item: dict[str, Any], name: str) -> list[Any]:
    value = item.get(name)
    if not isinstance(value, list):
        raise CertificateError(f"manifest.{name}: expected a list")
    return value


def check(certificate: Path, paths: Sequence[Path], root: str | None = None) -> dict[str, Any]:
    """The whole check as one report: `is_proven`, `problem` ("" where there is none), and what was seen.

    `root` is one that was noted elsewhere: a certificate that agrees with itself may still be another one.
    """
    report: dict[str, Any] = {"is_proven": False, "problem": "", "damaged_count": 0, "damaged": []}
    try:
        with certificate.open("rb") as opened:
            statement = read_statement(opened.read(DOCUMENT_BYTES_MAX + 1))
        report |= {
            "recording_id": statement.recording_id,
            "root": statement.root,
            "chunk_count": len(statement.entries),
            "byte_count": statement.byte_count,
            "certified_at": statement.certified_at,
            "server_version": statement.server_version,
        }
        if root is not None and root != statement.root:
            return report | {"problem": f"its root is {statement.root}, expected {root}: it is another certificate"}
        if statement.entries and not paths:
            return report | {"problem": "no bytes were given: the certificate agrees with itself, which proves nothing"}
        proof = prove(statement, read_files(paths))
    except CertificateError as error:
        return report | {"problem": f"the certificate is wrong at {error}"}
    except OSError as error:
        return report | {"problem": f"{error.filename}: {error.strerror}"}
    return report | _judge(statement, proof)


def _judge(statement: Statement, proof: Proof) -> dict[str, Any]:
    seen = {"damaged_count": len(proof.damaged), "damaged": list(proof.damaged[:DAMAGED_SHOWN_MAX])}
    if proof.holds_for(statement):
        return seen | {"is_proven": True}
    problem = ""
    if proof.damaged:
        problem = f"{len(proof.damaged)} of {len(statement.entries)} chunks do not have their SHA-256"
    if proof.byte_count != statement.byte_count:
        lengths = f"{proof.byte_count} bytes were given, the certificate states {statement.byte_count}"
        problem = f"{problem}; {lengths}" if problem else lengths
    return seen | {"problem": problem}


def describe(report: dict[str, Any]) -> str:
    """The report for a person, some lines."""
    if not report["is_proven"]:
        damaged = ", ".join(map(str, report["damaged"]))
        more = ", …" if report["damaged_count"] > len(report["damaged"]) else ""
        return f"not proven: {report['problem']}" + (f"\n  chunks: {damaged}{more}" if damaged else "")
    return (
        f"proven: recording {report['recording_id']}\n"
        f"  {report['chunk_count']} chunks, {report['byte_count']} bytes, certified at {report['certified_at']}\n"
        f"  root {report['root']}"
    )


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: certificate_proof.py CERTIFICATE [BYTES ...]")
    outcome = check(Path(sys.argv[1]), [Path(path) for path in sys.argv[2:]])
    print(describe(outcome))
    sys.exit(0 if outcome["is_proven"] else 1)
