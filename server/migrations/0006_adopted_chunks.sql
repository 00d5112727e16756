-- Which rows nobody is known to hold a receipt for.

alter table chunks
    -- An audit gave it to bytes that it found in the bucket. Another content that it finds later is as good a claim (I3).
    add column is_adopted boolean not null default false;
