"""The states of a chunk and of a recording on this device, and the tables that say what may follow what.

A step that the table does not have is an error (`ImpossibleStepError`): it would be a bug, and a
bug here loses bytes. States with a request under way (`SENDING`, `ASKING`, …) exist in memory only
and are never written to the log (I9).
"""

from enum import StrEnum
from typing import Final


class ImpossibleStepError(Exception):
    """The table has no such step from this state: a programmer's error, never caught to go on."""


class ChunkLife(StrEnum):
    """Where a chunk is in its life."""

    PLANNED = "planned"  # its composition is fixed, its seal record is not flushed yet
    SEALED = "sealed"  # the seal record is flushed: to be sent
    WANTED = "wanted"  # the server lost it or never had it: to be sent
    SENDING = "sending"
    ACKNOWLEDGED = "acknowledged"  # a receipt came; to be verified
    VERIFYING = "verifying"
    PENDING = "pending"  # found in the log at start: to be asked about before it is sent
    ASKING = "asking"
    VERIFIED = "verified"  # ledger and bucket hold it; its local bytes are the second chance
    REVERIFYING = "reverifying"
    CLEARED = "cleared"  # its local bytes are gone or may go (I1)
    PARKED = "parked"  # set aside: bytes kept, shown, blocking nothing, until the person wants it tried again


class ChunkStep(StrEnum):
    """What happens to a chunk."""

    SEAL_FLUSHED = "seal-flushed"
    SEND = "send"
    RECEIPT = "receipt"
    ASK = "ask"
    FOUND = "found"  # verify answered `verified`
    LOST = "lost"  # verify or complete answered that the server does not have it
    FAILED = "failed"  # no answer, or none that counts: as before (I10)
    REFUSED = "refused"  # a final problem code, `differs`, or local bytes that fail their digest
    CLEAR = "clear"
    RETRY = "retry"  # the person wants a parked chunk tried again


CHUNK_STEPS: Final[dict[tuple[ChunkLife, ChunkStep], ChunkLife]] = {
    (ChunkLife.PLANNED, ChunkStep.SEAL_FLUSHED): ChunkLife.SEALED,
    (ChunkLife.SEALED, ChunkStep.SEND): ChunkLife.SENDING,
    (ChunkLife.WANTED, ChunkStep.SEND): ChunkLife.SENDING,
    (ChunkLife.SENDING, ChunkStep.RECEIPT): ChunkLife.ACKNOWLEDGED,
    (ChunkLife.SENDING, ChunkStep.FAILED): ChunkLife.SEALED,
    (ChunkLife.SENDING, ChunkStep.REFUSED): ChunkLife.PARKED,
    (ChunkLife.ACKNOWLEDGED, ChunkStep.ASK): ChunkLife.VERIFYING,
    (ChunkLife.ACKNOWLEDGED, ChunkStep.LOST): ChunkLife.WANTED,
    (ChunkLife.VERIFYING, ChunkStep.FOUND): ChunkLife.VERIFIED,
    (ChunkLife.VERIFYING, ChunkStep.LOST): ChunkLife.WANTED,
    (ChunkLife.VERIFYING, ChunkStep.FAILED): ChunkLife.ACKNOWLEDGED,
    (ChunkLife.VERIFYING, ChunkStep.REFUSED): ChunkLife.PARKED,
    (ChunkLife.PENDING, ChunkStep.ASK): ChunkLife.ASKING,
    (ChunkLife.PENDING, ChunkStep.LOST): ChunkLife.WANTED,
    (ChunkLife.ASKING, ChunkStep.FOUND): ChunkLife.VERIFIED,
    (ChunkLife.ASKING, ChunkStep.LOST): ChunkLife.WANTED,
    (ChunkLife.ASKING, ChunkStep.FAILED): ChunkLife.PENDING,
    (ChunkLife.ASKING, ChunkStep.REFUSED): ChunkLife.PARKED,
    (ChunkLife.VERIFIED, ChunkStep.ASK): ChunkLife.REVERIFYING,
    (ChunkLife.VERIFIED, ChunkStep.LOST): ChunkLife.WANTED,
    (ChunkLife.VERIFIED, ChunkStep.CLEAR): ChunkLife.CLEARED,
    (ChunkLife.REVERIFYING, ChunkStep.FOUND): ChunkLife.VERIFIED,
    (ChunkLife.REVERIFYING, ChunkStep.LOST): ChunkLife.WANTED,
    (ChunkLife.REVERIFYING, ChunkStep.FAILED): ChunkLife.VERIFIED,
    (ChunkLife.REVERIFYING, ChunkStep.REFUSED): ChunkLife.PARKED,
    (ChunkLife.PARKED, ChunkStep.RETRY): ChunkLife.PENDING,
}

TO_SEND: Final = frozenset({ChunkLife.SEALED, ChunkLife.WANTED})
# The server has the chunk, as far as this page has heard in its own life.
ACKNOWLEDGED_OR_LATER: Final = frozenset(
    {
        ChunkLife.ACKNOWLEDGED,
        ChunkLife.VERIFYING,
        ChunkLife.VERIFIED,
        ChunkLife.REVERIFYING,
        ChunkLife.CLEARED,
    }
)
VERIFIED_OR_LATER: Final = frozenset({ChunkLife.VERIFIED, ChunkLife.REVERIFYING, ChunkLife.CLEARED})


def after_chunk_step(state: ChunkLife, step: ChunkStep) -> ChunkLife:
    """The state that follows. Raises `ImpossibleStepError`."""
    try:
        return CHUNK_STEPS[state, step]
    except KeyError:
        raise ImpossibleStepError(f"a chunk that is {state} cannot take the step {step}") from None


class RecordingLife(StrEnum):
    """Where a recording is in its life on this device."""

    LOCKING = "locking"  # the window is taking the lock capture:<id>; no folder exists
    PREPARING = "preparing"  # its folder and first files are being made
    PREPARED = "prepared"  # Record may be pressed; without an `opened` record it is no recording
    OPENING = "opening"  # the `opened` record is on its way to the disk
    STARTING = "starting"  # the window is getting a stream and starting a MediaRecorder
    RECORDING = "recording"
    PAUSED = "paused"
    STOPPING = "stopping"  # Stop was pressed; the recorder's last slices are on their way
    DRAINING = "draining"  # the recorder has ended; not every slice is durable yet
    RECOVERING = "recovering"  # found after its tab died; its tail is being sealed, its manifest closed
    CLOSED = "closed"  # the manifest is closed; sending, verifying, clearing go on
    COMPLETE = "complete"  # the certificate came
    DELETING = "deleting"  # the person deleted it; the server is being told
    GONE = "gone"  # nothing of it is left here; the server's copy can still be deleted


class RecordingStep(StrEnum):
    """What happens to a recording."""

    LOCKED = "locked"
    FILES_MADE = "files-made"
    FILES_FAILED = "files-failed"
    RECORD = "record"
    OPEN = "open"  # the opened record is flushed, or the next run is asked for
    STARTED = "started"
    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"
    CAPTURE_LOST = "capture-lost"  # the device or the browser ended the run; another is tried
    CAPTURE_ENDED = "capture-ended"
    CLOSE = "close"
    CERTIFIED = "certified"
    DELETE = "delete"
    REMOVED = "removed"


_L, _S = RecordingLife, RecordingStep
_LIVE: Final = (_L.OPENING, _L.STARTING, _L.RECORDING, _L.PAUSED, _L.STOPPING, _L.DRAINING)

RECORDING_STEPS: Final[dict[tuple[RecordingLife, RecordingStep], RecordingLife]] = {
    (_L.LOCKING, _S.LOCKED): _L.PREPARING,
    (_L.PREPARING, _S.FILES_MADE): _L.PREPARED,
    (_L.PREPARING, _S.FILES_FAILED): _L.GONE,
    (_L.PREPARED, _S.RECORD): _L.OPENING,
    (_L.OPENING, _S.OPEN): _L.STARTING,
    (_L.STARTING, _S.STARTED): _L.RECORDING,
    (_L.STARTING, _S.CAPTURE_LOST): _L.STARTING,
    (_L.RECORDING, _S.PAUSE): _L.PAUSED,
    (_L.PAUSED, _S.RESUME): _L.RECORDING,
    (_L.RECORDING, _S.CAPTURE_LOST): _L.STARTING,
    (_L.PAUSED, _S.CAPTURE_LOST): _L.STARTING,
    (_L.OPENING, _S.STOP): _L.DRAINING,
    (_L.STARTING, _S.STOP): _L.STOPPING,
    (_L.RECORDING, _S.STOP): _L.STOPPING,
    (_L.PAUSED, _S.STOP): _L.STOPPING,
    (_L.STARTING, _S.CAPTURE_ENDED): _L.DRAINING,
    (_L.RECORDING, _S.CAPTURE_ENDED): _L.DRAINING,
    (_L.PAUSED, _S.CAPTURE_ENDED): _L.DRAINING,
    (_L.STOPPING, _S.CAPTURE_ENDED): _L.DRAINING,
    (_L.DRAINING, _S.CLOSE): _L.CLOSED,
    (_L.RECOVERING, _S.CLOSE): _L.CLOSED,
    (_L.CLOSED, _S.CERTIFIED): _L.COMPLETE,
    (_L.COMPLETE, _S.CERTIFIED): _L.COMPLETE,
    **{(state, _S.DELETE): _L.DELETING for state in (*_LIVE, _L.RECOVERING, _L.CLOSED, _L.COMPLETE, _L.GONE)},
    (_L.DELETING, _S.REMOVED): _L.GONE,
    (_L.COMPLETE, _S.REMOVED): _L.GONE,
    (_L.CLOSED, _S.REMOVED): _L.GONE,  # nothing was captured
}

LIVE: Final = frozenset(_LIVE)


def after_recording_step(state: RecordingLife, step: RecordingStep) -> RecordingLife:
    """The state that follows. Raises `ImpossibleStepError`."""
    try:
        return RECORDING_STEPS[state, step]
    except KeyError:
        raise ImpossibleStepError(f"a recording that is {state} cannot take the step {step}") from None
