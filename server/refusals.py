"""The wording of the refusals that ingest and recordings share: what was wrong, and what to do next."""

from uuid import UUID

from protocol.errors import ErrorCode
from protocol.states import RecordingState
from server.refusal import Refusal
from server.storage.ledger import StoredChunk, StoredRecording


def recording_unknown(recording_id: UUID) -> Refusal:
    """Nobody registered it here."""
    return Refusal(
        ErrorCode.RECORDING_UNKNOWN,
        f"no recording {recording_id} is registered",
        next_step="Register it with POST /api/recordings, then send this again.",
    )


def recording_deleted(recording_id: UUID) -> Refusal:
    """A tombstone stands."""
    return Refusal(
        ErrorCode.RECORDING_DELETED,
        f"recording {recording_id} was deleted by its user",
        next_step="It never comes back: remove what is held of it.",
    )


def recording_complete(recording_id: UUID, chunk_index: int) -> Refusal:
    """The certificate leaves no room for this chunk."""
    return Refusal(
        ErrorCode.RECORDING_COMPLETE,
        f"recording {recording_id} has its certificate, and chunk {chunk_index} with this content is not in it",
        next_step="Keep the bytes aside and tell the person; GET …/certificate shows what is certified.",
        chunks=[chunk_index],
    )


def chunk_unknown(recording_id: UUID, chunk_index: int) -> Refusal:
    """The ledger has no such row."""
    return Refusal(
        ErrorCode.CHUNK_UNKNOWN,
        f"chunk {chunk_index} of {recording_id} was never acknowledged",
        next_step="GET …/chunks lists what is held; send the chunk if you have it.",
        chunks=[chunk_index],
    )


def chunk_differs(existing: StoredChunk) -> Refusal:
    """I3: one key, one content."""
    return Refusal(
        ErrorCode.CHUNK_DIFFERS,
        f"chunk {existing.chunk_index} of {existing.recording_id} is held with run {existing.run}, "
        f"{existing.size} bytes and sha256 {existing.sha256.hex()}; another content was sent under the same key",
        next_step="The held bytes are unchanged. Keep the sent ones aside and tell the person.",
        chunks=[existing.chunk_index],
    )


def chunk_disputed(recording_id: UUID, chunk_index: int) -> Refusal:
    """Two contents stand in the bucket without a verdict."""
    return Refusal(
        ErrorCode.CHUNK_DISPUTED,
        f"the bucket holds two contents of chunk {chunk_index} of {recording_id}, and nothing says which one counts",
        next_step="Both are kept; an operator sees the finding. Ask again later.",
        chunks=[chunk_index],
    )


def chunk_damaged(recording_id: UUID, chunk_index: int, what: str) -> Refusal:
    """The bytes cannot be served."""
    return Refusal(
        ErrorCode.CHUNK_DAMAGED,
        f"chunk {chunk_index} of {recording_id} cannot be served: {what}",
        next_step="It is asked again from the client that recorded it; a client that still holds it sends it again.",
        chunks=[chunk_index],
    )


def absent_recording(recording_id: UUID, recording: StoredRecording | None) -> Refusal:
    """Why a recording is not there: deleted, or never registered."""
    if recording is not None and recording.state is RecordingState.DELETED:
        return recording_deleted(recording_id)
    return recording_unknown(recording_id)
