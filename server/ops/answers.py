"""The JSON of `/api/ops/…`: the server's own page reads it, and no released client."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct


class Sample(Struct, frozen=True, kw_only=True):
    """Counters of all API processes together at one moment; what a second held is the difference of two."""

    at: float  # seconds since 1970
    receipts: dict[str, float]  # new, again
    received_bytes: float
    refusals: dict[str, float]  # by code
    objects: dict[str, float]  # stored, by what they are: pack, chunk, other
    bucket_errors: float
    waiting_bytes: float
    waiting_bodies: float
    flushes_in_flight: float
    ack_seconds: list[float]  # answers to chunks so far, within each of `bounds_s`
    ack_bounds_s: list[float]


class History(Struct, frozen=True, kw_only=True):
    """`GET /api/ops/history`: a sample every so often over the last hour, oldest first."""

    every_s: float
    samples: list[Sample]


class Overview(Struct, frozen=True, kw_only=True):
    """`GET /api/ops/now`. `checks` as `/api/health/ready` says them."""

    now: Sample
    checks: dict[str, str]
    recordings: dict[str, int]  # by state
    unmade: int  # complete, and their finished file is still to be made
    findings: dict[str, int]  # unresolved, by kind
    server_version: str


class Place(Struct, frozen=True, kw_only=True):
    """Where one chunk's bytes lie."""

    recording_id: UUID
    chunk_index: int
    run: int
    state: str
    size: int
    sha256: str
    acknowledged_at: datetime
    object_id: UUID
    object_key: str
    object_offset: int
    verified_at: datetime | None
    chunk_id: str | None = None


class PlacePage(Struct, frozen=True, kw_only=True):
    """`GET /api/ops/recordings/{id}/places`, in order of chunk_index."""

    places: list[Place]
    next_cursor: str | None = None


class ObjectContents(Struct, frozen=True, kw_only=True):
    """`GET /api/ops/objects/{id}`: an object's row, whether the bucket has it now, and whose chunks it holds."""

    object_id: UUID
    key: str
    size: int
    state: str
    verified_at: datetime | None
    size_in_bucket: int | None  # None: it is not there
    chunks: list[Place]
