-- What collect goes by, and the contents of chunks of which the bucket cannot tell which one counts.

alter table recordings
    -- A listing of the deleted recording's own prefixes found nothing any more, long enough after the deletion.
    add column erased_at timestamptz;

-- The few deletions that still have something to erase.
create index recordings_unerased on recordings (recording_id) where state = 'deleted' and erased_at is null;

create table disputed_contents (
    recording_id uuid not null,
    chunk_index integer not null,
    run integer not null,
    size integer not null,
    sha256 bytea not null,
    -- Neither copy may leave the bucket while the chunk is disputed (I5).
    object_id uuid not null references objects (object_id),
    object_offset bigint not null,
    constraint disputed_contents_pkey primary key (recording_id, chunk_index, run, sha256),
    constraint disputed_contents_of_chunk foreign key (recording_id, chunk_index)
    references chunks (recording_id, chunk_index) on delete cascade
);

create index disputed_contents_by_object on disputed_contents (object_id);
