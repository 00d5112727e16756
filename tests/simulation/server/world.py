"""Clients, ledger and bucket as dictionaries beside the real code, and what must be true after every step.

The model knows what was promised: `acked` is every receipt that was answered. Damage that a step does
behind the server's back excuses the chunks it hits until somebody has verified or stored them again;
everything else is held to the invariants at once.
"""

import asyncio
import copy
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from protocol.ids import loose_recording_id, make_uuid7
from protocol.states import ChunkState, Ending, ObjectState, RecordingState, Verification
from protocol.wire import ChunkClaim, Manifest, ManifestEntry, ManifestRun, RecordingRegistration
from server.audit.auditor import Auditor
from server.audit.collect import Collector
from server.audit.rebuild_parts import build_rebuilder
from server.audit.tally import Tally
from server.ingest.checked_chunk import CheckedChunk
from server.ingest.flush import Flusher
from server.ingest.ingest import IncomingChunk
from server.recordings.completion import Completer
from server.recordings.describing import trust_installation
from server.recordings.erasure import Eraser
from server.recordings.registration import Registrar
from server.recordings.verification import Verifier
from server.refusal import Refusal
from server.storage.blob_store import BlobStoreError
from server.storage.keys import CHUNKS_PREFIX, PACKS_PREFIX
from server.storage.ledger import Acknowledged, LedgerError
from server.storage.memory_audit_ledger import MemoryAuditLedger
from server.storage.memory_blob_store import MemoryBlobStore
from server.storage.memory_collect_ledger import MemoryCollectLedger
from server.storage.memory_ledger import MemoryLedger
from server.storage.memory_rebuild_ledger import MemoryRebuildLedger
from tests.simulation.server.faults import Faulty, Killed, Plan

GRACE_S: Final = 900.0
SLOTS: Final = 3  # recordings alive at once
CHUNKS: Final = 3  # chunks a recording has when it is whole
LOOSE: Final = 2

Key = tuple[UUID, int]


def body_of(key: Key, version: int) -> bytes:
    """The content that a client holds; two versions of one key contradict each other (I3)."""
    return b"<%s/%d/%d>" % (key[0].hex.encode(), key[1], version)


class WatchedBucket(MemoryBlobStore):
    """Sees to I11: no key twice, and nothing deleted within the grace period of its making."""

    def __init__(self, world: "World") -> None:
        super().__init__(world.read_now)
        self._world = world
        self.put_at: dict[str, datetime] = {}

    async def put(self, key: str, body: bytes) -> str:
        is_object = key.startswith((CHUNKS_PREFIX, PACKS_PREFIX))
        assert not (is_object and key in self.put_at), f"I11: {key} was put twice"
        self.put_at[key] = self._world.now
        if key.endswith("/deleted.json"):
            self._blobs.pop(key, None)  # two attempts differ in their time, and either is a tombstone
        return await super().put(key, body)

    async def delete(self, key: str) -> None:
        if key.startswith((CHUNKS_PREFIX, PACKS_PREFIX)) and key in self._blobs:
            age = self._world.now - self.put_at[key]
            assert age >= timedelta(seconds=GRACE_S), f"I11: {key} was deleted {age} after it was made"
            self._world.check_nothing_needs(key)
        await super().delete(key)

    def damage(self, key: str, *, flips: bool) -> None:
        """Behind the server's back."""
        blob = self._blobs.pop(key)
        if flips:
            body = bytearray(blob.body)
            body[len(body) // 2] ^= 1
            self.lay(key, bytes(body))

    def lay(self, key: str, body: bytes) -> None:
        """Put without being watched."""
        self._world.loop.run_until_complete(super().put(key, body))

    def bodies(self) -> dict[str, bytes]:
        """All there is."""
        return {key: blob.body for key, blob in self._blobs.items()}


@dataclass
class World:
    """Everything; one event loop runs one group of operations at a time."""

    now: datetime = datetime(2026, 11, 24, tzinfo=UTC)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    plan: Plan = field(default_factory=Plan)
    slots: list[UUID] = field(default_factory=list)
    acked: dict[Key, int] = field(default_factory=dict)  # the version that was acknowledged
    excused: set[Key] = field(default_factory=set)
    excused_recordings: set[UUID] = field(default_factory=set)  # until their row is back
    deleted: set[UUID] = field(default_factory=set)  # answered 204
    deleting: set[UUID] = field(default_factory=set)  # asked for
    certificates: dict[UUID, bytes] = field(default_factory=dict)
    backup: Any = None
    operation_count: int = 0
    _number: int = 0
    _registered: dict[UUID, RecordingRegistration] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.bucket = WatchedBucket(self)
        self.ledger = MemoryLedger(self.read_now)
        self.slots = [self.new_id() for _ in range(SLOTS)]
        self.start_process()

    def read_now(self) -> datetime:
        """The clock of both stores."""
        return self.now

    def new_id(self) -> UUID:
        """Ids in order, as their milliseconds make them."""
        self._number += 1
        return make_uuid7(int(self.now.timestamp() * 1000) + self._number, self._number.to_bytes(10, "big"))

    def start_process(self) -> None:
        """A new process over the same stores: nothing of the old one's memory is left."""
        store = self.store = Faulty[MemoryBlobStore](self.bucket, self.plan, is_store=True).port
        ledger = self.ported = Faulty(self.ledger, self.plan, is_store=False).port
        collected = Faulty(MemoryCollectLedger(self.ledger), self.plan, is_store=False).port
        self.audit_ledger = Faulty(MemoryAuditLedger(ledger=self.ledger), self.plan, is_store=False).port
        self.flusher = Flusher(ledger, store, put_and_commit_s=1, new_object_id=self.new_id)
        self.registrar = Registrar(ledger, store, new_title_id=self.new_id)
        self.verifier = Verifier(ledger, store)
        self.completer = Completer(ledger, store, self.verifier, server_version="1", now=self.read_now)
        self.eraser = Eraser(ledger, store, now=self.read_now)
        self.collector = Collector(
            ledger, collected, store, trust_installation, grace_s=GRACE_S, new_object_id=self.new_id
        )
        self.auditor = Auditor(
            ledger,
            self.audit_ledger,
            store,
            trust_installation,
            grace_s=GRACE_S,
            stalled_after_s=1e9,
            unrecoverable_after_s=1e9,
        )

    # -- operations: each is a coroutine of the real code, whose answer the model notes

    def run(self, *operations: Coroutine[Any, Any, None]) -> None:
        """Run them at once; a killed one takes the whole process with it."""
        self.operation_count += len(operations)
        is_killed = self.loop.run_until_complete(self._gather(operations))
        if is_killed:
            self.start_process()

    async def _gather(self, operations: tuple[Coroutine[Any, Any, None], ...]) -> bool:
        tasks = [asyncio.ensure_future(operation) for operation in operations]
        done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        errors = _flat([task.exception() for task in done])
        is_killed = any(isinstance(error, Killed) for error in errors)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if is_killed:
            for task in others:
                task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        errors += _flat([task.exception() for task in waiting if not task.cancelled()])
        for error in errors:
            if not isinstance(error, Killed | Refusal | BlobStoreError | LedgerError):
                raise error
        return is_killed

    def registration_of(self, recording_id: UUID) -> RecordingRegistration:
        """Persisted by the client before it is sent, so a repeat is the same."""
        return self._registered.setdefault(
            recording_id,
            RecordingRegistration(recording_id=recording_id, mime_type="audio/webm", started_at=self.now),
        )

    async def send(self, parts: list[tuple[Key, int, str | None]]) -> None:
        """One flush of these (key, version, chunkId)."""
        if not parts:
            return
        chunks = [
            CheckedChunk(IncomingChunk(key[0], key[1], 0, body, None, chunk_id), sha256(body).digest())
            for key, version, chunk_id in parts
            for body in [body_of(key, version)]
        ]
        was_deleted = set(self.deleted)
        for recording_id in sorted({key[0] for key, _, chunk_id in parts if chunk_id is None}):
            await self.registrar.register(self.registration_of(recording_id))
        answers = await self.flusher.flush(chunks, self.loop.time() + 60)
        for (key, version, _), answer in zip(parts, answers, strict=True):
            if isinstance(answer, Acknowledged):
                assert key[0] not in was_deleted, f"a receipt for {key} of a deleted recording"
                self.note_receipt(key, version, is_new=answer.is_new)

    def note_receipt(self, key: Key, version: int, *, is_new: bool) -> None:
        """I2, I3: what was answered is in both stores, and is what was answered before."""
        assert self.acked.setdefault(key, version) == version, f"I3: {key} was acknowledged with two contents"
        if is_new:
            self.excused.discard(key)
        if key[0] not in self.deleting and key not in self.excused:
            self.check_held(key)

    async def verify(self, recording_id: UUID) -> None:
        versions = {index: self.acked.get((recording_id, index), 0) for index in range(CHUNKS)}
        claims = [
            ChunkClaim(chunk_index=index, sha256=sha256(body_of((recording_id, index), version)).hexdigest())
            for index, version in versions.items()
        ]
        response = await self.verifier.verify(recording_id, claims)
        for answer in response.chunks:
            key = (recording_id, answer.chunk_index)
            if answer.state is Verification.VERIFIED and recording_id not in self.deleting:
                self.check_held(key, versions[answer.chunk_index])  # I1: the client clears its bytes now
                self.excused.discard(key)

    async def complete(self, recording_id: UUID) -> None:
        keys = [(recording_id, index) for index in range(CHUNKS)]
        if not all(key in self.acked for key in keys):
            return
        entries = [
            ManifestEntry(run=0, chunk_index=key[1], size=len(body), sha256=sha256(body).hexdigest())
            for key in keys
            for body in [body_of(key, self.acked[key])]
        ]
        manifest = Manifest(runs=[ManifestRun(run=0, mime_type="audio/webm")], chunks=entries, ended=Ending.STOPPED)
        answer = await self.completer.complete(recording_id, manifest)
        if isinstance(answer, bytes):
            known = self.certificates.setdefault(recording_id, answer)
            assert known == answer, "I4: a recording has two certificates"

    async def delete(self, recording_id: UUID) -> None:
        self.deleting.add(recording_id)
        await self.eraser.delete(recording_id)
        self.deleted.add(recording_id)

    async def rename(self, recording_id: UUID) -> None:
        await self.registrar.rename(recording_id, f"title {self.operation_count}")

    async def audit(self) -> None:
        await self.auditor.run(Tally(), _ignore)

    async def collect(self) -> None:
        self.last_collect = await self.collector.collect()

    # -- what happens to the world

    def advance(self, seconds: float) -> None:
        """A COMMIT in progress ends within seconds; a PUT may land at any time later."""
        self.land_commits()
        self.now += timedelta(seconds=seconds)

    def land_commits(self) -> None:
        late, self.plan.late_commits = self.plan.late_commits, []
        self._land(late)

    def land_puts(self) -> None:
        late, self.plan.late_puts = self.plan.late_puts, []
        self._land(late)

    def _land(self, late: list[Any]) -> None:
        """What arrives late meets no further fault; these are calls of the stores themselves."""
        for call in late:
            self.loop.run_until_complete(_swallow(call))

    def replace(self, slot: int) -> None:
        """A new recording in the slot, where the last one was deleted."""
        if self.slots[slot] in self.deleting:
            self.slots[slot] = self.new_id()

    def save_backup(self) -> None:
        """What a nightly dump of the database holds."""
        self.land_commits()
        self.backup = copy.deepcopy(
            (
                self.ledger.recordings,
                self.ledger.objects,
                self.ledger.chunks,
                self.ledger.findings,
                self.ledger.disputed,
            )
        )

    def restore_backup(self, *, collects_first: bool = False) -> None:
        """The database is that of the backup; the audit runs before anybody is let in (docs/OPERATING.md).

        A server that was started on it may have collected first, by its schedule.
        """
        if self.backup is None:
            return
        self.advance(GRACE_S + 1)
        self.land_puts()
        recordings, objects, chunks, findings, disputed = copy.deepcopy(self.backup)
        self.ledger.recordings, self.ledger.objects, self.ledger.chunks = recordings, objects, chunks
        self.ledger.findings, self.ledger.disputed = findings, disputed
        self.start_process()
        self.advance(GRACE_S + 1)
        if collects_first:
            self.run(self.collect())
        self.run(self.audit())
        self.run(self.audit())  # the first one finds what is lost, and the second its spare copies

    # -- what must be true

    def check_held(self, key: Key, version: int | None = None) -> None:
        """The row is the one that was promised, or disputed with it among its copies; the bucket has it."""
        expected = body_of(key, self.acked[key] if version is None else version)
        row = self.ledger.chunks.find(key)
        assert row is not None, f"I2: {key} has no row"
        copies = self.ledger.disputed[key] if row.state is ChunkState.DISPUTED else [row]
        right = [copy for copy in copies if copy.sha256 == sha256(expected).digest()]
        assert right and row.state is not ChunkState.WANTED, f"I3: {key} is {row}, of {copies}"
        held = self.ledger.objects[right[0].object_id].stored
        assert held.state is ObjectState.STORED, f"{key} points to an object that is {held.state}"
        assert self.bucket.bodies().get(held.key, b"")[right[0].offset :].startswith(expected), f"I2: {key} is not held"

    def check_nothing_needs(self, object_key: str) -> None:
        """I5: no row points to an object that is deleted."""
        for row in self.ledger.objects.values():
            if row.stored.key == object_key:
                assert not self.ledger.is_pointed_to(row.stored.object_id), f"I5: {object_key} is still needed"

    def check(self) -> None:
        """After every step."""
        for key in self.acked:
            if key[0] not in self.deleting and key not in self.excused:
                self.check_held(key)
        self.excused_recordings = {each for each in self.excused_recordings if not self._is_back(each)}
        for recording_id in self.deleted - self.excused_recordings:
            row = self.ledger.recordings.get(recording_id)
            assert row is not None and row.state is RecordingState.DELETED, f"{recording_id} came back"
            assert not self.ledger.chunks.of_recording(recording_id), f"chunks of {recording_id} came back"
        for recording_id, certificate in self.certificates.items():
            if recording_id not in self.deleting | self.excused_recordings:
                assert self.ledger.recordings[recording_id].certificate == certificate, "I4: the certificate changed"

    def _is_back(self, recording_id: UUID) -> bool:
        """Whether a row that was dropped says again what it said."""
        row = self.ledger.recordings.get(recording_id)
        if row is None or recording_id in self.deleted:
            return row is not None and row.state is RecordingState.DELETED
        return row.certificate == self.certificates.get(recording_id) or recording_id in self.deleting

    def check_rebuild(self) -> None:
        """I8: the bucket alone gives back what was promised and not damaged, and nothing that was deleted."""
        self.land_commits()
        ledger = MemoryLedger(self.read_now)
        audited, collected = MemoryAuditLedger(ledger=ledger), MemoryCollectLedger(ledger)
        bucket = MemoryBlobStore(self.read_now)
        for object_key, body in self.bucket.bodies().items():
            self.loop.run_until_complete(bucket.put(object_key, body))
        rebuilder = build_rebuilder(ledger, audited, collected, MemoryRebuildLedger(ledger), bucket, grace_s=GRACE_S)
        self.loop.run_until_complete(rebuilder.rebuild(merges=False))
        for key, version in self.acked.items():
            if key[0] in self.deleting or key in self.excused:
                continue
            row = ledger.chunks.find(key)
            assert row is not None, f"I8: {key} did not come back"
            digest = sha256(body_of(key, version)).digest()
            held = {copy.sha256 for copy in ledger.disputed.get(key, [])} | {row.sha256}
            assert digest in held, f"I8: {key} came back with another content"
            assert row.state is ChunkState.DISPUTED or row.sha256 == digest, f"I8: a loser won {key}"
        for recording_id in self.deleted:
            assert not ledger.chunks.of_recording(recording_id), f"I8: {recording_id} came back"


def loose_key(number: int) -> tuple[Key, str]:
    """The key of a loose chunk, and its chunkId."""
    chunk_id = f"loose-{number}"
    return (loose_recording_id(chunk_id), 0), chunk_id


def _flat(errors: Iterable[BaseException | None]) -> list[BaseException]:
    """With those of groups, which is how a death inside a task group looks."""
    found: list[BaseException] = []
    for error in errors:
        if isinstance(error, BaseExceptionGroup):
            found += _flat(error.exceptions)
        elif error is not None:
            found.append(error)
    return found


async def _ignore(_: Tally) -> None:
    return None


async def _swallow(late: Any) -> None:
    try:
        await late()
    except (BlobStoreError, LedgerError):
        return
