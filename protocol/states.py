"""The states that are named on the wire, in the ledger and on the page, each as one enum."""

from enum import StrEnum


class RecordingState(StrEnum):
    """What the server says of a recording."""

    OPEN = "open"  # registered; its manifest has not been accepted yet
    STALLED = "stalled"  # open, and its client has not been heard of for a named time
    COMPLETE = "complete"  # manifest, ledger and bucket agreed; the certificate exists (I4)
    DAMAGED = "damaged"  # it was complete, and bytes of it were lost since
    DELETED = "deleted"  # a tombstone stands in bucket and ledger; every call answers 410


class ChunkState(StrEnum):
    """The state of a chunk's row in the ledger."""

    STORED = "stored"  # the row's object holds the bytes, as far as is known
    WANTED = "wanted"  # the bucket lost the bytes; the client is asked to send them again
    DISPUTED = "disputed"  # two contents without a verdict; neither is served nor verified


class ObjectState(StrEnum):
    """The state of a bucket object in the ledger (I11)."""

    STORED = "stored"
    UNLINKED = "unlinked"  # no row points to it; a later pass may delete it
    DELETING = "deleting"  # its deletion has been decided; no row may point to it any more


class Verification(StrEnum):
    """What `verify` answers for one chunk."""

    VERIFIED = "verified"  # ledger and bucket hold exactly this content
    PENDING = "pending"  # the call's bound was reached, or the content is disputed; ask again
    MISSING = "missing"  # the ledger knows it, the bucket lost it; send it again
    UNKNOWN = "unknown"  # never acknowledged; send it
    DIFFERS = "differs"  # the ledger holds another content under this key


class Ending(StrEnum):
    """Who closed a recording's manifest."""

    STOPPED = "stopped"  # the person who recorded
    RECOVERED = "recovered"  # whoever found it after its tab had died


class MediaState(StrEnum):
    """What could be made of a complete recording's media."""

    WHOLE = "whole"  # every run is in the file, to its end
    PARTIAL = "partial"  # the best playable part; the detail says what is left out
    UNPLAYABLE = "unplayable"  # nothing in it can be played; the original bytes are all there is


class PassStanding(StrEnum):
    """How it stands with audits, or with scrubs."""

    NEVER = "never"  # none has ended yet
    RUNNING = "running"  # one is under way, or asked for
    FINISHED = "finished"


class FindingKind(StrEnum):
    """One difference that an audit, a scrub or a read saw."""

    MISSING = "missing"  # row, no object
    ORPHAN = "orphan"  # object, no row
    MISMATCHED = "mismatched"  # the object's bytes are not what the row says
    DISPUTED = "disputed"  # two contents of one chunk, and nothing says which one counts
    STALLED = "stalled"  # an open recording whose client has not been heard of for a named time
    UNRECOVERABLE = "unrecoverable"  # lost bytes that nobody can be expected to send again
    FOREIGN = "foreign"  # an object that no server of this kind makes; never touched


class HeldBack(StrEnum):
    """Why collect left an object alone."""

    PINNED = "pinned"  # a row that points to it is wanted or disputed: what is there may be all there is
    LOST = "lost"  # rows point to it and the bucket has no such object: the audit's work
    DAMAGED = "damaged"  # bytes of it fail their digest; they are asked for again
    UNREADABLE = "unreadable"  # nothing points to it and it does not say any more what it holds
    UNDECIDED = "undecided"  # an entry may be needed: it has no row, or its row's own copy cannot be read
