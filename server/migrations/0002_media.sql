-- The finished file of a complete recording: which making of it counts (docs/decisions/), and what it is.

alter table recordings
    -- The UUIDv7 in the keys of its files.
    add column media_id uuid,
    -- Its summary as the wire shows it (JSON); the rest stands in the bucket's media.json.
    add column media bytea,
    add constraint recordings_media_has_id check ((media is null) = (media_id is null)) not valid,
    -- What its user deleted is erased here too.
    add constraint recordings_media_unless_deleted check (media is null or certificate is not null) not valid;

-- Both hold for every row, since the columns are new; `not valid` spares the look at each.

-- What is still to be made, oldest first.
create index recordings_media_unmade on recordings (certified_at, recording_id)
    where state = 'complete' and media is null;
