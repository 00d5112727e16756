"""The bucket's keys (docs/FORMATS.md): built here, parsed here, one spelling each.

Only typed values enter a key, so nothing that a client sent can choose one, and `parse_key` accepts
exactly what `text` gives: an audit never takes a foreign object for ours. A chunk of its own is named
by its key alone (I8); a loose chunk is not, because its chunkId is in no key: it goes into a pack.
"""

import os
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from protocol.ids import RANDOM_BYTES_OF_UUID7, is_recording_id, make_uuid7, unix_ms_of
from protocol.limits import CHUNK_INDEX_MAX, RUN_MAX

CHUNKS_PREFIX: Final = "chunks/"
PACKS_PREFIX: Final = "packs/"
RECORDINGS_PREFIX: Final = "recordings/"
VOIDS_PREFIX: Final = "voids/"
# What is made of a complete recording; the list grows with the containers that can be written.
MEDIA_NAMES: Final = frozenset({"media.json", "media.webm", "media.mp4", "media.mkv", "peaks.json", "poster.jpg"})
# Written at each start, so that the first chunk finds the store warm; a later start removes it.
PROBES_PREFIX: Final = "probes/"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UUID: Final = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_CHUNK: Final = re.compile(rf"chunks/({_UUID})/([0-9]{{8}})-([0-9]{{4}})-([0-9a-f]{{64}})-({_UUID})", re.ASCII)
_PACK: Final = re.compile(rf"packs/[0-9]{{4,}}/[0-9]{{2}}/[0-9]{{2}}/({_UUID})\.pack", re.ASCII)
_DOCUMENT: Final = re.compile(rf"recordings/({_UUID})/(recording|certificate|deleted)\.json", re.ASCII)
_TITLE: Final = re.compile(rf"recordings/({_UUID})/titles/({_UUID})\.json", re.ASCII)
_MEDIA: Final = re.compile(rf"recordings/({_UUID})/media/({_UUID})/([a-z0-9.]+)", re.ASCII)
_VOID: Final = re.compile(rf"voids/({_UUID})(?:-({_UUID}))?\.json", re.ASCII)
_PROBE: Final = re.compile(rf"probes/({_UUID})", re.ASCII)


class InvalidKeyError(ValueError):
    """The text is no key that this server makes."""


def new_uuid7() -> UUID:
    """A fresh id for an object or a title, of this machine's clock and randomness: no key is made twice (I11)."""
    return make_uuid7(time.time_ns() // 1_000_000, os.urandom(RANDOM_BYTES_OF_UUID7))


@dataclass(frozen=True, slots=True)
class ChunkKey:
    """An object that is one chunk: its bytes and nothing else."""

    recording_id: UUID
    chunk_index: int
    run: int
    sha256: bytes
    object_id: UUID

    def __post_init__(self) -> None:
        _check_uuid7("a recording id", self.recording_id)
        _check_uuid7("an object id", self.object_id)
        if not (0 <= self.chunk_index <= CHUNK_INDEX_MAX and 0 <= self.run <= RUN_MAX and len(self.sha256) == 32):
            raise ValueError(f"chunk {self.chunk_index}, run {self.run}, digest {self.sha256.hex()} fit no key")

    @property
    def text(self) -> str:
        """The key; a recording's chunks are listed in order of their indexes."""
        name = f"{self.chunk_index:08d}-{self.run:04d}-{self.sha256.hex()}-{self.object_id}"
        return chunks_prefix(self.recording_id) + name


@dataclass(frozen=True, slots=True)
class PackKey:
    """An object that holds many small chunks and an index of them."""

    object_id: UUID

    def __post_init__(self) -> None:
        _check_uuid7("an object id", self.object_id)
        if unix_ms_of(self.object_id) >= _DAYS_END_MS:
            raise ValueError(f"{self.object_id} lies after the year 9999")

    @property
    def text(self) -> str:
        """The key, under the day (UTC) of its id, so that a day's packs are listed together."""
        day = _EPOCH + timedelta(milliseconds=unix_ms_of(self.object_id))
        return f"{PACKS_PREFIX}{day.year:04d}/{day.month:02d}/{day.day:02d}/{self.object_id}.pack"


@dataclass(frozen=True, slots=True)
class RecordingKey:
    """The registration of a recording."""

    recording_id: UUID

    def __post_init__(self) -> None:
        _check_uuid7("a recording id", self.recording_id)

    @property
    def text(self) -> str:
        return f"{recording_prefix(self.recording_id)}recording.json"


@dataclass(frozen=True, slots=True)
class CertificateKey:
    """The one certificate of a recording."""

    recording_id: UUID

    def __post_init__(self) -> None:
        _check_uuid7("a recording id", self.recording_id)

    @property
    def text(self) -> str:
        return f"{recording_prefix(self.recording_id)}certificate.json"


@dataclass(frozen=True, slots=True)
class TombstoneKey:
    """The tombstone of a recording that its user deleted."""

    recording_id: UUID

    def __post_init__(self) -> None:
        _check_uuid7("a recording id", self.recording_id)

    @property
    def text(self) -> str:
        return f"{recording_prefix(self.recording_id)}deleted.json"


@dataclass(frozen=True, slots=True)
class TitleKey:
    """A title given after registration; of a recording's titles the greatest title_id counts."""

    recording_id: UUID
    title_id: UUID

    def __post_init__(self) -> None:
        _check_uuid7("a recording id", self.recording_id)
        _check_uuid7("a title id", self.title_id)

    @property
    def text(self) -> str:
        """The key; listed in order of the title_ids."""
        return f"{titles_prefix(self.recording_id)}{self.title_id}.json"


@dataclass(frozen=True, slots=True)
class MediaKey:
    """A file of one making of a recording's media: `media.json`, stored last, lists the others (docs/decisions/).

    Another making has another media_id, so that no key is written twice; the ledger says which one counts.
    """

    recording_id: UUID
    media_id: UUID
    name: str

    def __post_init__(self) -> None:
        _check_uuid7("a recording id", self.recording_id)
        _check_uuid7("a media id", self.media_id)
        if self.name not in MEDIA_NAMES:
            raise ValueError(f"{self.name!r} is no file of a recording's media")

    @property
    def text(self) -> str:
        """The key; a recording's makings are listed in order of their ids."""
        return f"{media_prefix(self.recording_id)}{self.media_id}/{self.name}"


@dataclass(frozen=True, slots=True)
class VoidKey:
    """Entries of that object which lost and must never be adopted; with a `void_id` those that lost later."""

    object_id: UUID
    void_id: UUID | None = None

    def __post_init__(self) -> None:
        _check_uuid7("an object id", self.object_id)
        if self.void_id is not None:
            _check_uuid7("a void id", self.void_id)

    @property
    def text(self) -> str:
        later = "" if self.void_id is None else f"-{self.void_id}"
        return f"{voids_prefix(self.object_id)}{later}.json"


@dataclass(frozen=True, slots=True)
class ProbeKey:
    """What a start writes before it says ready; it holds nothing."""

    probe_id: UUID

    def __post_init__(self) -> None:
        _check_uuid7("a probe id", self.probe_id)

    @property
    def text(self) -> str:
        return f"{PROBES_PREFIX}{self.probe_id}"


@dataclass(frozen=True, slots=True)
class InstallationKey:
    """The installation id that bucket and ledger share."""

    @property
    def text(self) -> str:
        return "holdfast.json"


BucketKey = (
    ChunkKey
    | PackKey
    | RecordingKey
    | CertificateKey
    | TombstoneKey
    | TitleKey
    | MediaKey
    | VoidKey
    | ProbeKey
    | InstallationKey
)


def chunks_prefix(recording_id: UUID) -> str:
    """Where the chunks of a recording lie that are objects of their own."""
    return f"{CHUNKS_PREFIX}{recording_id}/"


def recording_prefix(recording_id: UUID) -> str:
    """Where the documents of a recording lie."""
    return f"{RECORDINGS_PREFIX}{recording_id}/"


def voids_prefix(object_id: UUID) -> str:
    """With what the keys of an object's voids begin."""
    return f"{VOIDS_PREFIX}{object_id}"


def titles_prefix(recording_id: UUID) -> str:
    """Where a recording's later titles lie."""
    return f"{recording_prefix(recording_id)}titles/"


def media_prefix(recording_id: UUID) -> str:
    """Where the files lie that were made of a recording; it goes with the recording's own prefix."""
    return f"{recording_prefix(recording_id)}media/"


def parse_key(text: str) -> BucketKey:
    """The key in its parts. Raises `InvalidKeyError` for everything that no `text` here gives."""
    try:
        key = _match(text)
    except ValueError as error:  # a version or a bound that the pattern cannot say
        raise InvalidKeyError(f"{text[:200]!r} is no key of this server: {error}") from None
    if key is None or key.text != text:  # a pack under another day than its own
        raise InvalidKeyError(f"{text[:200]!r} is no key of this server")
    return key


def _match(text: str) -> BucketKey | None:
    if text == InstallationKey().text:
        return InstallationKey()
    if found := _CHUNK.fullmatch(text):
        recording, index, run, digest, held_by = found.groups()
        return ChunkKey(UUID(recording), int(index), int(run), bytes.fromhex(digest), UUID(held_by))
    if found := _PACK.fullmatch(text):
        return PackKey(UUID(found[1]))
    if found := _DOCUMENT.fullmatch(text):
        return _KEY_OF_DOCUMENT[found[2]](UUID(found[1]))
    if found := _TITLE.fullmatch(text):
        return TitleKey(UUID(found[1]), UUID(found[2]))
    if found := _MEDIA.fullmatch(text):
        return MediaKey(UUID(found[1]), UUID(found[2]), found[3])
    if found := _VOID.fullmatch(text):
        return VoidKey(UUID(found[1]), None if found[2] is None else UUID(found[2]))
    if found := _PROBE.fullmatch(text):
        return ProbeKey(UUID(found[1]))
    return None


_KEY_OF_DOCUMENT: Final[dict[str, type[RecordingKey] | type[CertificateKey] | type[TombstoneKey]]] = {
    "recording": RecordingKey,
    "certificate": CertificateKey,
    "deleted": TombstoneKey,
}
# A UUIDv7 has room for times that no calendar date has.
_DAYS_END_MS: Final = (datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)


def _check_uuid7(what: str, value: UUID) -> None:
    if not is_recording_id(value):
        raise ValueError(f"{what} in a key is a UUIDv7, got {value}")
