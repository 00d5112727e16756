-- What the audit goes by: how many entries an object says it holds, findings with a subject, the passes and their places.

alter table objects
    -- How many chunks the object itself says it holds; null until somebody has read that.
    add column entry_count integer,
    -- How many of them no row has to point to: dead, duplicate, loser, pointed elsewhere. What an audit saw at its last
    -- look; rows and these together are all entries, or a row was lost.
    add column waste_count integer not null default 0;

update objects set entry_count = 1 where key like 'chunks/%';

-- The new list of kinds only grows, and the table is small: few differences are ever found.
alter table findings
    -- squawk-ignore ban-drop-constraint
    drop constraint findings_kind_known,
    -- The bucket key or the recording that the finding is about, where it is noted at most once while unresolved.
    add column subject text collate "C",
    -- squawk-ignore constraint-missing-not-valid
    add constraint findings_kind_known check (
        kind in ('missing', 'orphan', 'mismatched', 'disputed', 'stalled', 'unrecoverable', 'foreign')
    );

create unique index findings_unresolved_once on findings (kind, subject)
    where resolved_at is null and subject is not null;

create table passes (
    kind text primary key,
    created_at timestamptz not null default now(),
    -- Somebody wants one that begins after this.
    asked_at timestamptz,
    -- Who runs it, as long as it says so; only to save work, never for safety.
    holder uuid,
    held_until timestamptz,
    began_at timestamptz,
    -- Where the unfinished one stands, as JSON; null while there is none.
    progress text,
    ended_at timestamptz,
    -- The last finished one, as JSON.
    report text
);

create table lives (
    life_id uuid primary key,
    -- Which server: its machine, its data directory and its port.
    node text not null,
    started_at timestamptz not null default now(),
    ended_at timestamptz
);

-- Those that have not ended, so far.
create index lives_running on lives (node) where ended_at is null;
