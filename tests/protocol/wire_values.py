"""Hypothesis strategies for the Structs of protocol/wire.py, inside every bound they state."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import strategies as st
from msgspec import UNSET

from protocol import limits, wire
from protocol.errors import Problem
from protocol.ids import make_uuid7
from protocol.states import ChunkState, Ending, MediaState, RecordingState, Verification

offsets = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = st.datetimes(
    datetime(1970, 1, 3),  # noqa: DTZ001 - Hypothesis wants naive bounds and adds the zone itself
    datetime(9998, 12, 29),  # noqa: DTZ001
    timezones=offsets,
)
recording_ids = st.builds(make_uuid7, st.integers(0, (1 << 48) - 1), st.binary(min_size=10, max_size=10))
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
indexes = st.integers(0, limits.CHUNK_INDEX_MAX)
runs = st.integers(0, limits.RUN_MAX)
sizes = st.integers(1, limits.CHUNK_MAX_BYTES)
counts = st.integers(0, 1 << 53)
printable = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
mime_types = st.text(printable, min_size=1, max_size=limits.MIME_TYPE_MAX_CHARS)
titles = st.text(
    st.characters(exclude_categories=["Cc", "Cs"]),
    min_size=1,
    max_size=limits.TITLE_MAX_CHARS,
)
chunk_ids = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=128)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)

registrations = st.builds(
    wire.RecordingRegistration,
    recording_id=recording_ids,
    mime_type=mime_types,
    started_at=times,
    title=st.none() | titles,
)
streams = st.builds(
    wire.MediaStream, kind=texts, codec=texts, width=counts, height=counts, sample_rate=counts, channels=counts
)
media = st.builds(
    wire.Media,
    state=st.sampled_from(MediaState),
    detail=texts,
    mime_type=texts,
    size=counts,
    sha256=st.none() | digests,
    duration_s=st.floats(0, 1e9),
    streams=st.lists(streams, max_size=2),
    runs_left_out=st.lists(runs, max_size=2),
    has_peaks=st.booleans(),
    has_poster=st.booleans(),
    has_mp4=st.booleans(),
)
gaps = st.builds(wire.IndexGap, first=indexes, last=indexes)
recordings = st.builds(
    wire.Recording,
    recording_id=recording_ids,
    mime_type=mime_types,
    title=st.none() | titles,
    started_at=times,
    registered_at=times,
    state=st.sampled_from(RecordingState),
    chunk_count=counts,
    byte_count=counts,
    wanted_count=counts,
    certified_at=st.none() | times,
    gaps=st.lists(gaps, max_size=3),
    media=st.just(UNSET) | media,
)
rows = st.builds(
    wire.ChunkRow,
    chunk_index=indexes,
    run=runs,
    state=st.sampled_from(ChunkState),
    size=sizes,
    sha256=digests,
    acknowledged_at=times,
)
claims = st.builds(wire.ChunkClaim, chunk_index=indexes, sha256=digests)
verifications = st.builds(
    wire.ChunkVerification,
    chunk_index=indexes,
    state=st.sampled_from(Verification),
    size=st.none() | sizes,
    sha256=st.none() | digests,
)
manifests = st.builds(
    wire.Manifest,
    runs=st.lists(st.builds(wire.ManifestRun, run=runs, mime_type=mime_types), max_size=3),
    chunks=st.lists(
        st.builds(wire.ManifestEntry, run=runs, chunk_index=indexes, size=sizes, sha256=digests), max_size=3
    ),
    ended=st.sampled_from(Ending),
)
receipts = st.builds(
    wire.Receipt,
    recording_id=recording_ids,
    chunk_index=indexes,
    run=runs,
    size=sizes,
    sha256=digests,
    acknowledged_at=times,
    chunkId=st.none() | chunk_ids,
)
problems = st.builds(
    Problem,
    type=texts,
    title=texts,
    status=st.integers(400, 599),
    code=texts,
    detail=texts,
    next_step=texts,
    chunks=st.lists(indexes, max_size=3),
    request_id=texts,
)

every_struct = st.one_of(
    registrations,
    streams,
    media,
    st.builds(wire.Peaks, duration_s=st.floats(0, 1e9), peaks=st.lists(st.integers(0, 255), max_size=3)),
    st.builds(wire.RecordingTitle, title=titles),
    recordings,
    st.builds(wire.RecordingPage, recordings=st.lists(recordings, max_size=2), next_cursor=st.none() | texts),
    receipts,
    st.builds(wire.LooseChunk, chunkId=chunk_ids, data=texts),
    rows,
    st.builds(wire.ChunkPage, chunks=st.lists(rows, max_size=2), next_cursor=st.none() | texts),
    claims,
    st.builds(wire.VerifyRequest, chunks=st.lists(claims, min_size=1, max_size=3)),
    st.builds(wire.VerifyResponse, recording_id=recording_ids, chunks=st.lists(verifications, max_size=3)),
    manifests,
    st.builds(
        wire.Certificate,
        recording_id=recording_ids,
        root=digests,
        chunk_count=counts,
        byte_count=counts,
        manifest=manifests,
        started_at=times,
        certified_at=st.just(datetime(2026, 11, 24, tzinfo=UTC)),
        server_version=texts,
    ),
    st.builds(wire.CompletePending, recording_id=recording_ids, verified_count=counts, chunk_count=counts),
    st.builds(wire.Tombstone, recording_id=recording_ids, deleted_at=times),
    st.builds(wire.Health, status=texts, checks=st.dictionaries(texts, texts, max_size=3)),
    problems,
)
