// The operator's page in words: what each state and finding means, and what to do.

export const checks = { bucket: "Bucket", ledger: "Database", installation: "Belong together", disk: "Disk", process: "This process" };

// Of an audit's, a scrub's or a collect's report, in this order; a count that is not here is said by its own name.
export const reports = {
  ended_at: "Ended",
  duration_s: "Worked for",
  chunks: "Chunks in the ledger",
  objects: "Objects in the bucket",
  bytes: "Bytes read back",
  missing: "Objects missing",
  orphans: "Objects without a row",
  mismatched: "Objects with wrong bytes",
  adopted: "Chunks adopted",
  rerequested: "Chunks asked for again",
  restored: "Documents restored",
  foreign: "Foreign objects",
  young: "Too young to judge",
  wanted: "Chunks wanted now",
  examined: "Objects looked at",
  rewritten: "Objects rewritten",
  unlinked: "Objects to be deleted later",
  deleted: "Objects deleted",
  bytes_deleted: "Bytes deleted",
  erased: "Recordings erased wholly",
  held_back: "Objects left alone",
};

export const states = {
  open: "still being recorded, or its client is away",
  stalled: "open, and its client has not been heard of for long",
  complete: "certified: manifest, ledger and bucket agreed",
  damaged: "was complete, and has lost bytes since; they are asked for again",
  deleted: "by their users; tombstones stay",
};

export const nextSteps = {
  missing: "A row has no object. Its chunks are asked for again from the browser that recorded them: leave that page open there.",
  orphan: "An object has no row. The next audit past the grace period adopts it.",
  mismatched: "Bytes are not what was acknowledged. They are never served, and asked for again.",
  disputed: "Two contents of one chunk, and nothing says which counts. The page that recorded it settles it; both are kept.",
  stalled: "A recording is open and nobody sends. Somebody must open the page in the browser that holds the rest.",
  unrecoverable: "Lost bytes that no client can be expected to hold. Restore the bucket from a backup, then run an audit.",
  foreign: "Objects that no server of this kind makes. They are left alone: find out who writes into this bucket.",
};
