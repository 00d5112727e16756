-- The ledger: what is acknowledged, and which bucket object holds it. docs/ARCHITECTURE.md numbers the invariants.
-- Times are this database's own clock.

create table installation (
    -- One row at most: bucket and ledger share exactly one id.
    is_only_row boolean primary key default true check (is_only_row),
    installation_id uuid not null,
    written_at timestamptz not null default now()
);

create table recordings (
    recording_id uuid primary key,
    state text not null default 'open',
    mime_type text not null,
    title text,
    started_at timestamptz not null,
    registered_at timestamptz not null default now(),
    -- Raised by the audit from the chunks' times, never by ingest: an update would wait for every flush's lock.
    last_seen_at timestamptz not null default now(),
    -- The bytes of recording.json, so that an audit can write it again.
    document bytea,
    -- The bytes of certificate.json, decided here once and for ever, then stored.
    certificate bytea,
    certified_at timestamptz,
    certified_chunks integer,
    certificate_stored_at timestamptz,
    -- The bytes of deleted.json. A row with a tombstone never goes away.
    tombstone bytea,
    deleted_at timestamptz,
    constraint recordings_state_known check (state in ('open', 'stalled', 'complete', 'damaged', 'deleted')),
    -- Browsers' ids are UUIDv7, so that they never meet a loose chunk's UUIDv8.
    constraint recordings_id_is_uuid7 check (get_byte(uuid_send(recording_id), 6) >> 4 = 7),
    constraint recordings_document_unless_deleted check (state = 'deleted' or document is not null),
    -- I4: complete, or damaged since, is exactly what holds a certificate.
    constraint recordings_certificate_iff_complete check (
        (state in ('complete', 'damaged')) = (certificate is not null)
        and (certificate is null) = (certified_at is null)
        and (certificate is null) = (certified_chunks is null)
    ),
    constraint recordings_tombstone_iff_deleted check ((state = 'deleted') = (tombstone is not null))
);

-- The listing, newest first, without the tombstones that stay for ever.
create index recordings_listed on recordings (recording_id desc) where state <> 'deleted';

create table objects (
    -- The UUIDv7 in the key.
    object_id uuid primary key,
    -- In byte order, as the bucket lists keys: the audit merges both.
    key text collate "C" not null unique,
    size bigint not null,
    -- As the store answered it at the PUT, or at the last read-back.
    etag text not null,
    state text not null default 'stored',
    stored_at timestamptz not null default now(),
    -- When all its chunks were read back and found right.
    verified_at timestamptz,
    -- It holds an entry that no row points to: dead, duplicate, loser, or pointed elsewhere since.
    has_waste boolean not null default false,
    unlinked_at timestamptz,
    constraint objects_state_known check (state in ('stored', 'unlinked', 'deleting')),
    constraint objects_size_positive check (size > 0),
    -- I11: a deletion comes in a later pass than the unlinking, so its time is always known.
    constraint objects_unlinked_has_time check ((state = 'stored') = (unlinked_at is null))
);

-- What collect looks at.
create index objects_collectable on objects (object_id) where has_waste or state <> 'stored';

create table chunks (
    recording_id uuid not null,
    chunk_index integer not null,
    run integer not null,
    size integer not null,
    state text not null default 'stored',
    -- An object cannot leave the ledger while a row points to it (I5).
    object_id uuid not null references objects (object_id),
    object_offset bigint not null,
    acknowledged_at timestamptz not null default now(),
    sha256 bytea not null,
    -- The chunkId of a loose chunk; such a chunk has no row in recordings, hence no foreign key to it.
    chunk_id text,
    -- I3: one content for one key, for ever.
    constraint chunks_pkey primary key (recording_id, chunk_index),
    constraint chunks_state_known check (state in ('stored', 'wanted', 'disputed')),
    constraint chunks_in_range check (chunk_index between 0 and 99999999 and run between 0 and 9999),
    constraint chunks_size_positive check (size > 0 and object_offset >= 0),
    constraint chunks_sha256_length check (octet_length(sha256) = 32),
    constraint chunks_loose_iff_not_uuid7 check (
        (get_byte(uuid_send(recording_id), 6) >> 4 = 7) = (chunk_id is null)
    )
);

create index chunks_by_object on chunks (object_id);

-- The few rows that need somebody: sent again, or settled.
create index chunks_not_stored on chunks (recording_id, chunk_index) where state <> 'stored';

create table findings (
    finding_id bigint generated always as identity primary key,
    kind text not null,
    -- Null where chunks of several recordings are concerned.
    recording_id uuid,
    first_chunk_index integer,
    last_chunk_index integer,
    -- How many chunks the finding is about.
    chunk_count integer not null default 0,
    object_id uuid,
    object_key text collate "C",
    seen_at timestamptz not null default now(),
    resolved_at timestamptz,
    detail text not null default '',
    constraint findings_kind_known check (
        kind in ('missing', 'orphan', 'mismatched', 'disputed', 'stalled', 'unrecoverable')
    )
);

create index findings_unresolved on findings (finding_id) where resolved_at is null;
create index findings_by_recording on findings (recording_id);
