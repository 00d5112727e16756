"""Which chunks of an object are not what their rows say: the rule of every read-back, and what follows from it.

An object counts only as a whole in one respect: it must say by itself which chunks it holds (I8). So a
pack whose index cannot be read, or an object of another length, is damaged in every chunk, while a
flipped byte in one chunk's bytes leaves its neighbours alone.
"""

import asyncio
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from protocol.states import ChunkState, FindingKind
from server.recordings.describing import ConfirmInstallation
from server.storage.keys import PACKS_PREFIX
from server.storage.ledger import Ledger, StoredChunk, StoredObject
from server.storage.pack_format import PackEntry, PackError, read_pack_index

# Larger bodies are hashed in a thread: 256 KiB take about a quarter of a millisecond of the event loop.
_HASH_IN_THREAD_BYTES: Final = 256 * 1024


async def find_damaged(held_by: StoredObject, rows: Sequence[StoredChunk], body: bytes) -> list[StoredChunk]:
    """Those of `rows` that `body`, read as the whole object, does not bear out."""
    if len(body) > _HASH_IN_THREAD_BYTES:
        return await asyncio.to_thread(_find_damaged, held_by, rows, body)
    return _find_damaged(held_by, rows, body)


async def has_digest(body: bytes, digest: bytes) -> bool:
    """Whether these bytes have this SHA-256."""
    if len(body) > _HASH_IN_THREAD_BYTES:
        return (await asyncio.to_thread(sha256, body)).digest() == digest
    return sha256(body).digest() == digest


async def ask_again(
    ledger: Ledger,
    confirm_installation: ConfirmInstallation,
    held_by: StoredObject,
    rows: Sequence[StoredChunk],
    kind: FindingKind,
) -> bool:
    """The rows become `wanted`: whoever still holds the chunks is asked for them.

    False where some of them moved or changed in the meantime. Raises what `confirm_installation`
    does: in a wrong bucket everything looks lost, and nothing is.
    """
    await confirm_installation()
    return await ledger.mark_wanted(held_by.object_id, rows, kind) == len(rows)


async def list_stored(ledger: Ledger, held_by: StoredObject) -> list[StoredChunk]:
    """The rows in state `stored` that point to the object now."""
    rows = await ledger.list_chunks_of_object(held_by.object_id)
    return [row for row in rows if row.state is ChunkState.STORED]


def _find_damaged(held_by: StoredObject, rows: Sequence[StoredChunk], body: bytes) -> list[StoredChunk]:
    if len(body) != held_by.size:
        return list(rows)
    entries: dict[tuple[bytes, int], PackEntry] | None = None
    if held_by.key.startswith(PACKS_PREFIX):
        try:
            entries = {(entry.recording_id, entry.chunk_index): entry for entry in read_pack_index(body)}
        except PackError:
            return list(rows)
    view = memoryview(body)
    return [row for row in rows if not (_is_named(entries, row, held_by) and _has_bytes(view, row))]


def _is_named(entries: dict[tuple[bytes, int], PackEntry] | None, row: StoredChunk, held_by: StoredObject) -> bool:
    if entries is None:  # the whole object is the chunk: its key names it, and its bytes have nothing around them
        return (row.offset, row.size) == (0, held_by.size)
    return _is_entry_of(entries, row)


def _has_bytes(view: memoryview, row: StoredChunk) -> bool:
    return sha256(view[row.offset : row.offset + row.size]).digest() == row.sha256


def _is_entry_of(entries: dict[tuple[bytes, int], PackEntry], row: StoredChunk) -> bool:
    entry = entries.get((row.recording_id.bytes, row.chunk_index))
    return entry is not None and (entry.run, entry.offset, entry.size, entry.sha256, entry.chunk_id) == (
        row.run,
        row.offset,
        row.size,
        row.sha256,
        row.chunk_id,
    )
