-- The listing of some days: without it every row would be looked at until the page is full.

create index recordings_by_start on recordings (started_at) where state <> 'deleted';
