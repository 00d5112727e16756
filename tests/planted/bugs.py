"""Twelve bugs that would lose data, each as a change of one line, and the tests that must fail on it.

`text` stands exactly once in `path`; where the code changed, the bug is planted anew, not dropped.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bug:
    """`text` becomes `planted`; at least one of `tests` (files, with an optional -k word) must fail."""

    name: str
    path: str
    text: str
    planted: str
    tests: tuple[str, ...]


_FLUSH = "server/ingest/flush.py"
_MODEL = "tests/simulation/server/test_every_call_fails_once.py"
_HYPOTHESIS = "tests/simulation/server/test_server_model.py"
_INGEST = "tests/server/ingest"
_CORE = ("tests/client/test_server_stories.py", "tests/client/test_states.py", "tests/client/test_dying_stories.py")

BUGS = (
    Bug(
        "ack before commit",
        _FLUSH,
        "            return rows, await self._ledger.acknowledge_coming(coming, put, rows)\n",
        "            committing = asyncio.ensure_future(self._ledger.acknowledge_coming(coming, put, rows))\n"
        "            await asyncio.wait((put,))\n"
        "            return rows, committing.result() if committing.done() and not committing.exception() else [\n"
        "                Acknowledged(StoredChunk(r.recording_id, r.chunk_index, r.run, ChunkState.STORED, "
        "r.object_id, r.offset, r.size, r.sha256, __import__('datetime').datetime.now(), r.chunk_id), True) "
        "for r in rows]\n",
        (_MODEL, _INGEST),
    ),
    Bug(
        "commit before PUT",
        _FLUSH,
        "            return rows, await self._ledger.acknowledge_coming(coming, put, rows)\n",
        "            etag = asyncio.get_running_loop().create_future()\n"
        "            etag.set_result('etag')\n"
        "            return rows, await self._ledger.acknowledge_coming(coming, etag, rows)\n",
        (_INGEST, _MODEL),
    ),
    Bug(
        "PUT error swallowed",
        _FLUSH,
        "        put = asyncio.create_task(self._store.put(key, built.body))\n",
        "        async def put_somehow() -> str:\n"
        "            try:\n"
        "                return await self._store.put(key, built.body)\n"
        "            except BlobStoreError:\n"
        "                return 'etag'\n"
        "        put = asyncio.create_task(put_somehow())\n",
        (_MODEL, _INGEST),
    ),
    Bug(
        "flush cancelled by a disconnect",
        "server/ingest/group_ingest.py",
        "        return await self.begin(chunk, place)\n",
        "        try:\n"
        "            return await self.begin(chunk, place)\n"
        "        except asyncio.CancelledError:\n"
        "            for flush in self._flushes:\n"
        "                flush.cancel()\n"
        "            raise\n",
        (_INGEST,),
    ),
    Bug(
        "off-by-one offset",
        "server/storage/pack_format.py",
        "        offsets.append(offset)\n",
        "        offsets.append(offset + 1)\n",
        ("tests/server/test_pack_format.py", _INGEST, _MODEL),
    ),
    Bug(
        "digest over the wrong slice",
        "server/recordings/damage.py",
        "    return sha256(view[row.offset : row.offset + row.size]).digest() == row.sha256\n",
        "    return sha256(view[row.offset : row.offset + row.size - 1]).digest() != b''\n",
        ("tests/server/recordings",),
    ),
    Bug(
        "audit deletes a fresh orphan",
        "server/audit/examination.py",
        "            tally.young += 1\n",
        "            tally.young += 1\n            await self._store.delete(key.text)\n",
        ("tests/server/audit/test_audit.py", _HYPOTHESIS),
    ),
    Bug(
        "tombstone ignored",
        "server/audit/recording_repair.py",
        "        if listed.has_tombstone or (row is not None and row.state is RecordingState.DELETED):\n",
        "        if row is not None and row.state is RecordingState.DELETED:\n",
        ("tests/server/rebuild/test_rebuild.py", _MODEL),
    ),
    Bug(
        "another digest accepted on replay",
        "server/storage/acknowledge_rules.py",
        "    if not existing.has_content_of(chunk.run, chunk.size, chunk.sha256):\n",
        "    if existing.chunk_index != chunk.chunk_index:\n",
        ("tests/contracts/test_ledger_chunks.py", _HYPOTHESIS),
    ),
    Bug(
        "clear on receipt without verify",
        "client_py/core/states.py",
        "    (ChunkLife.SENDING, ChunkStep.RECEIPT): ChunkLife.ACKNOWLEDGED,\n",
        "    (ChunkLife.SENDING, ChunkStep.RECEIPT): ChunkLife.CLEARED,\n",
        _CORE,
    ),
    Bug(
        '"uploading" persisted',
        "client_py/core/adopting.py",
        "            life_of_chunk = ChunkLife.VERIFIED if index in log.verified_at_ms else ChunkLife.PENDING\n",
        "            life_of_chunk = ChunkLife.VERIFIED if index in log.verified_at_ms else ChunkLife.SENDING\n",
        (*_CORE, "tests/client/test_recovery.py"),
    ),
    Bug(
        "queue bound ignored",
        "server/ingest/waiting.py",
        "        return self.chunk_count >= self._chunks_max or self.byte_count + byte_count > self._bytes_max\n",
        "        return self.chunk_count > 1_000_000_000\n",
        (_INGEST,),
    ),
)
