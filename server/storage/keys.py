"""The bucket's keys: how each is made, and how it is read again (docs/FORMATS.md).

The server makes every key, and nothing a client sent enters one unparsed: ids are UUIDs, numbers
are integers, digests are bytes. A key that `parse_key` does not know is foreign: reported, never touched.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

INSTALLATION_KEY: Final = "holdfast.json"

CHUNKS_PREFIX: Final = "chunks/"
PACKS_PREFIX: Final = "packs/"
RECORDINGS_PREFIX: Final = "recordings/"
VOIDS_PREFIX: Final = "voids/"
# Written at each start, so that the first chunk does not meet a cold store; an earlier one is removed then.
PROBES_PREFIX: Final = "probes/"

RECORDING_DOCUMENT: Final = "recording.json"
CERTIFICATE: Final = "certificate.json"
TOMBSTONE: Final = "deleted.json"
MEDIA: Final = "media.json"


@dataclass(frozen=True, slots=True)
class ChunkKey:
    """An object that is one chunk."""

    recording_id: UUID
    chunk_index: int
    run: int
    sha256: bytes
    object_id: UUID


@dataclass(frozen=True, slots=True)
class PackKey:
    """An object that holds many small chunks."""

    object_id: UUID


@dataclass(frozen=True, slots=True)
class RecordingKey:
    """A file beside a recording's chunks: `name` is recording.json, certificate.json, deleted.json, media.…"""

    recording_id: UUID
    name: str


@dataclass(frozen=True, slots=True)
class TitleKey:
    """One later title of a recording; the greatest title_id counts."""

    recording_id: UUID
    title_id: UUID


@dataclass(frozen=True, slots=True)
class VoidKey:
    """Entries of the object `object_id` that lost and must never be adopted."""

    object_id: UUID


@dataclass(frozen=True, slots=True)
class ProbeKey:
    """A start's first write."""

    probe_id: UUID


@dataclass(frozen=True, slots=True)
class InstallationKey:
    """`holdfast.json`."""


ParsedKey = ChunkKey | PackKey | RecordingKey | TitleKey | VoidKey | ProbeKey | InstallationKey

_UUID: Final = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_CHUNK: Final = re.compile(rf"chunks/({_UUID})/([0-9]{{8}})-([0-9]{{4}})-([0-9a-f]{{64}})-({_UUID})", re.ASCII)
_PACK: Final = re.compile(rf"packs/([0-9]{{4}}/[0-9]{{2}}/[0-9]{{2}})/({_UUID})\.pack", re.ASCII)
_RECORDING: Final = re.compile(rf"recordings/({_UUID})/([a-z0-9]+\.[a-z0-9]+)", re.ASCII)
_TITLE: Final = re.compile(rf"recordings/({_UUID})/titles/({_UUID})\.json", re.ASCII)
_VOID: Final = re.compile(rf"voids/({_UUID})\.json", re.ASCII)
_PROBE: Final = re.compile(rf"probes/({_UUID})", re.ASCII)


def chunk_key(key: ChunkKey) -> str:
    """`chunks/<recording_id>/<index, 8 digits>-<run, 4 digits>-<sha256>-<uuid7>`."""
    return f"{CHUNKS_PREFIX}{key.recording_id}/{key.chunk_index:08d}-{key.run:04d}-{key.sha256.hex()}-{key.object_id}"


def pack_key(object_id: UUID) -> str:
    """`packs/YYYY/MM/DD/<uuid7>.pack`; the day is that of the uuid7, in UTC."""
    return f"{PACKS_PREFIX}{_day_of(object_id)}/{object_id}.pack"


def recording_key(recording_id: UUID, name: str) -> str:
    """A file beside the recording's chunks, e.g. `RECORDING_DOCUMENT`."""
    return f"{RECORDINGS_PREFIX}{recording_id}/{name}"


def title_key(recording_id: UUID, title_id: UUID) -> str:
    """`recordings/<recording_id>/titles/<uuid7>.json`."""
    return f"{RECORDINGS_PREFIX}{recording_id}/titles/{title_id}.json"


def void_key(object_id: UUID) -> str:
    """`voids/<object uuid7>.json`."""
    return f"{VOIDS_PREFIX}{object_id}.json"


def probe_key(probe_id: UUID) -> str:
    """`probes/<uuid7>`."""
    return f"{PROBES_PREFIX}{probe_id}"


def parse_key(key: str) -> ParsedKey | None:
    """What stands under the key, or None for a foreign one. Inverse of the builders, and of nothing else."""
    parsed = _parse(key)
    # A day that is not the uuid's, for one, would be built differently.
    return parsed if parsed is not None and _build(parsed) == key else None


def _parse(key: str) -> ParsedKey | None:
    if key == INSTALLATION_KEY:
        return InstallationKey()
    if match := _CHUNK.fullmatch(key):
        return ChunkKey(UUID(match[1]), int(match[2]), int(match[3]), bytes.fromhex(match[4]), UUID(match[5]))
    if match := _PACK.fullmatch(key):
        return PackKey(UUID(match[2]))
    if match := _TITLE.fullmatch(key):
        return TitleKey(UUID(match[1]), UUID(match[2]))
    if match := _RECORDING.fullmatch(key):
        return RecordingKey(UUID(match[1]), match[2])
    if match := _VOID.fullmatch(key):
        return VoidKey(UUID(match[1]))
    if match := _PROBE.fullmatch(key):
        return ProbeKey(UUID(match[1]))
    return None


def _build(parsed: ParsedKey) -> str:
    match parsed:
        case InstallationKey():
            return INSTALLATION_KEY
        case ChunkKey():
            return chunk_key(parsed)
        case PackKey(object_id):
            return pack_key(object_id)
        case RecordingKey(recording_id, name):
            return recording_key(recording_id, name)
        case TitleKey(recording_id, title_id):
            return title_key(recording_id, title_id)
        case VoidKey(object_id):
            return void_key(object_id)
        case ProbeKey(probe_id):
            return probe_key(probe_id)


def _day_of(object_id: UUID) -> str:
    # The first 48 bits of a UUIDv7 are Unix milliseconds; of another version's they may lie beyond the calendar.
    unix_s = (object_id.int >> 80) / 1000
    try:
        return datetime.fromtimestamp(unix_s, UTC).strftime("%Y/%m/%d")
    except (OverflowError, ValueError, OSError):
        return "0000/00/00"
