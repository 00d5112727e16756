"""A house whose ledger burns down, and what must be equal after it was rebuilt from the bucket."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from protocol.ids import loose_recording_id
from protocol.states import RecordingState
from server.audit.rebuild import OnProgress, RebuildReport
from server.audit.rebuild_parts import build_rebuilder
from server.installation import establish_installation
from server.recordings.registration import Registrar
from server.storage.ledger import LIST_ROWS_MAX
from tests.server.collect.house import House


async def furnish(house: House) -> None:
    """Two recordings that share packs, one certified, one renamed, one deleted, and loose chunks."""
    one, two, gone = await house.register(), await house.register(), await house.register()
    await house.pack((one, 0), (two, 0), (gone, 0), ("loose-1", 0))
    await house.pack((one, 1), ("loose-2", 0))
    await house.own((one, 2))
    await house.own((two, 1))
    await house.own((gone, 1))
    await Registrar(house.ledger, house.store).rename(two, "the newer title")
    await house.complete(one, 3)
    await house.delete(gone)


@dataclass
class Burnt:
    """The same bucket with the ledger as it was, and with an empty one."""

    before: House
    after: House

    async def settle(self) -> None:
        """The first installation, as a server's start writes it."""
        await establish_installation(self.before.ledger, self.before.store)

    async def rebuild(
        self, *, merges: bool = False, grace_s: float = 0.0, on_progress: OnProgress = lambda _: None
    ) -> RebuildReport:
        """One rebuild to its end."""
        house = self.after
        rebuilder = build_rebuilder(
            house.ledger,
            house.audited,
            house.collected,
            house.rebuilt,
            house.store,
            grace_s=grace_s,
            on_progress=on_progress,
        )
        report = await rebuilder.rebuild(merges=merges)
        house.sent = dict(self.before.sent)
        return report

    async def check_equal(self) -> None:
        """What docs/RECOVERY.md says a rebuild gives back."""
        after, before = await describe(self.after), await describe(self.before)
        for part in before:
            assert after[part] == before[part], part
        await self.after.check_all_is_served()


async def describe(house: House) -> dict[str, Any]:
    """The ledger without its times: recordings with documents, chunks with places, objects that rows point to."""
    recordings: dict[UUID, Any] = {}
    chunks: dict[tuple[UUID, int], Any] = {}
    known = await house.audited.list_recordings(after=None, up_to=None, limit=LIST_ROWS_MAX)
    loose = {loose_recording_id(part[0]) for part in house.sent if isinstance(part[0], str)}
    for recording_id in {row.recording_id for row in known} | loose:
        recording = await house.ledger.find_recording(recording_id)
        documents = await house.audited.read_documents(recording_id)
        if recording is not None:
            is_deleted = recording.state is RecordingState.DELETED  # its tombstone is all that counts
            recordings[recording_id] = (
                recording.state,
                None if is_deleted else (recording.mime_type, recording.started_at),
                recording.title,
                recording.chunk_count,
                recording.byte_count,
                documents,
            )
        for row in await house.ledger.list_chunks(recording_id, after_index=-1, limit=LIST_ROWS_MAX):
            place = (row.object_id, row.offset)
            chunks[recording_id, row.chunk_index] = (row.run, row.state, place, row.size, row.sha256, row.chunk_id)
    objects = {
        row.object.object_id: (row.object.key, row.object.size, row.object.etag, row.row_count)
        for row in await house.audited.list_objects(after_key="", up_to_key="~", limit=LIST_ROWS_MAX)
        if row.row_count
    }
    installation = await house.ledger.read_installation()
    return {
        "recordings": recordings,
        "chunks": chunks,
        "objects": objects,
        "installation": installation.installation_id,
    }
