"""What stands of a recording, in the words of the wire, or the refusal where nothing stands."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from uuid import UUID

import msgspec
from msgspec import UNSET

from protocol.states import RecordingState
from protocol.wire import IndexGap, Media, Recording
from server.refusals import absent_recording
from server.storage.ledger import Ledger, StoredRecording

# A description lists the lowest gaps; a client that fills them is told the next ones.
GAPS_MAX: Final = 100

# Raises the refusal where bucket and ledger are not of one installation any more.
ConfirmInstallation = Callable[[], Awaitable[None]]


async def trust_installation() -> None:
    """For callers that have nothing to ask: tests, and tools that checked at their start."""


async def require_recording(ledger: Ledger, recording_id: UUID) -> StoredRecording:
    """The recording's row. Raises `Refusal` (RECORDING_UNKNOWN, RECORDING_DELETED)."""
    recording = await ledger.find_recording(recording_id)
    if recording is None or recording.state is RecordingState.DELETED:
        raise absent_recording(recording_id, recording)
    return recording


async def describe_with_gaps(ledger: Ledger, recording: StoredRecording) -> Recording:
    """The recording with the lowest `GAPS_MAX` ranges of indexes that the ledger does not hold."""
    return describe_recording(recording, await ledger.list_gaps(recording.recording_id, GAPS_MAX))


def describe_recording(recording: StoredRecording, gaps: Sequence[IndexGap] = ()) -> Recording:
    """The row as the wire shows it."""
    return Recording(
        recording_id=recording.recording_id,
        mime_type=recording.mime_type,
        title=recording.title,
        started_at=recording.started_at,
        registered_at=recording.registered_at,
        state=recording.state,
        chunk_count=recording.chunk_count,
        byte_count=recording.byte_count,
        wanted_count=recording.wanted_count,
        certified_at=recording.certified_at,
        gaps=list(gaps),
        media=UNSET if recording.media is None else msgspec.json.decode(recording.media, type=Media),
    )
