"""Every kind of damage behind the server's back: what finds it, what repairs it, how long it takes (`pytest -s`).

Each damage is followed by an audit, a scrub, the client's sending again what it is asked for, and a last
audit that finds nothing any more. `make stack-kills` writes the table of docs/RECOVERY.md, over the real stores.
"""

import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

import pytest

from protocol.states import ChunkState
from server.audit.scrubber import Scrubber, ScrubTally
from server.audit.tally import Tally
from server.storage.keys import ChunkKey, new_uuid7, parse_key
from server.storage.ledger import NewObject
from tests.server.audit.scene import Scene, repairs, trust
from tests.server.recordings.held import body_of
from tests.stack.conftest import IS_WHOLE
from tests.stack.outcomes import write_table

COUNT = 8  # chunks 0 to 3 in a pack, 4 to 7 objects of their own


@dataclass
class Stored:
    """What is damaged."""

    scene: Scene
    pack: NewObject
    owns: list[NewObject]


async def delete_an_object(stored: Stored) -> None:
    await stored.scene.store.delete(stored.owns[0].key)


async def delete_a_pack(stored: Stored) -> None:
    await stored.scene.store.delete(stored.pack.key)


async def truncate_an_object(stored: Stored) -> None:
    await stored.scene.overwrite(stored.owns[0].key, body_of(4)[:-7])


async def truncate_a_pack(stored: Stored) -> None:
    await stored.scene.overwrite(stored.pack.key, (await stored.scene.store.get(stored.pack.key))[:-7])


async def flip_a_byte_of_a_pack(stored: Stored) -> None:
    await stored.scene.flip(stored.pack.key, body_of(2))


async def flip_a_byte_of_an_object(stored: Stored) -> None:
    await stored.scene.flip(stored.owns[1].key, body_of(5))


async def duplicate_an_object(stored: Stored) -> None:
    key = parse_key(stored.owns[0].key)
    assert isinstance(key, ChunkKey)
    other = ChunkKey(key.recording_id, key.chunk_index, key.run, key.sha256, new_uuid7())
    await stored.scene.store.put(other.text, body_of(4))


async def rename_an_object(stored: Stored) -> None:
    await duplicate_an_object(stored)
    await stored.scene.store.delete(stored.owns[0].key)


async def rename_a_pack_to_a_strange_name(stored: Stored) -> None:
    await stored.scene.store.put("packs/lost+found/1", await stored.scene.store.get(stored.pack.key))
    await stored.scene.store.delete(stored.pack.key)


async def drop_rows_of_chunks(stored: Stored) -> None:
    for index in (1, 2, 6):
        await stored.scene.drop_row(stored.scene.recording_id, index)


async def drop_rows_of_objects(stored: Stored) -> None:
    await stored.scene.drop_object_row(stored.pack)
    await stored.scene.drop_object_row(stored.owns[3])


async def drop_the_row_of_the_recording(stored: Stored) -> None:
    await stored.scene.drop_recording_row()


async def delete_every_document(stored: Stored) -> None:
    for key in await stored.scene.keys("recordings/"):
        await stored.scene.store.delete(key)


Damage = Callable[[Stored], Awaitable[None]]
DAMAGES: list[tuple[Damage, str, str]] = [
    (delete_an_object, "audit", "client"),
    (delete_a_pack, "audit", "client"),
    (truncate_an_object, "audit", "client"),
    (truncate_a_pack, "audit", "client"),
    (flip_a_byte_of_a_pack, "audit", "client"),
    (flip_a_byte_of_an_object, "audit", "client"),
    (duplicate_an_object, "audit", "audit"),
    (rename_an_object, "audit", "audit"),
    (rename_a_pack_to_a_strange_name, "audit", "client"),
    (drop_rows_of_chunks, "audit", "audit"),
    (drop_rows_of_objects, "audit", "audit"),
    (drop_the_row_of_the_recording, "audit", "audit"),
    (delete_every_document, "audit", "audit"),
]


@pytest.fixture(scope="module")
def rows() -> Iterator[list[str]]:
    """What each damage came to over the real stores; written down when all went well."""
    rows: list[str] = []
    yield rows
    if IS_WHOLE and len(rows) == len(DAMAGES):
        heading = "| damage | found by | as | repaired by | after, ms |\n|---|---|---|---|---|"
        write_table("damage", "\n".join([heading, *rows]))


@pytest.mark.parametrize(
    ("damage", "found_by", "repaired_by"), DAMAGES, ids=lambda value: getattr(value, "__name__", "")
)
async def test_every_damage_is_found_and_repaired(
    scene: Scene, damage: Damage, found_by: str, repaired_by: str, rows: list[str]
) -> None:
    await scene.register()
    stored = Stored(
        scene, await scene.store_pack(range(4)), [await scene.store_own(index) for index in range(4, COUNT)]
    )
    await scene.complete()
    await damage(stored)
    started_s = time.perf_counter()
    found = await scene.audit()
    assert bool(repairs(found)) == (found_by == "audit")
    await _scrub(scene)
    wanted = await _wanted(scene)
    assert bool(wanted) == (repaired_by == "client")
    for index in wanted:
        await scene.store_own(index)
    await scene.audit()
    took_ms = (time.perf_counter() - started_s) * 1e3
    assert {name: count for name, count in repairs(await scene.audit()).items() if name != "foreign"} == {}
    assert await scene.states(COUNT) == [ChunkState.STORED] * COUNT
    found_as = ", ".join(f"{name} {count}" for name, count in repairs(found).items())
    row = f"| {damage.__name__.replace('_', ' ')} | {found_by} | {found_as} | {repaired_by} | {took_ms:.0f} |"
    print(f"\n{row}")
    if scene.database_url is not None:
        rows.append(row)


async def test_damage_that_keeps_length_and_etag_is_found_by_the_scrub_alone(memory: Scene) -> None:
    await memory.register()
    own = await memory.store_own(0)
    blobs = memory.store._blobs  # type: ignore[attr-defined]
    held = blobs[own.key]
    blobs[own.key] = type(held)(b"X" + held.body[1:], held.info)
    assert repairs(await memory.audit()) == {}
    assert (await _scrub(memory)).mismatched == 1
    await memory.store_own(0)
    assert await memory.states(1) == [ChunkState.STORED]


async def _wanted(scene: Scene) -> list[int]:
    rows = await scene.list_rows()
    return [row.chunk_index for row in rows if row.state is ChunkState.WANTED]


async def _scrub(scene: Scene) -> ScrubTally:
    tally = ScrubTally()

    async def go_on(_: Tally) -> None:
        pass

    await Scrubber(scene.ledger, scene.audit_ledger, scene.store, trust).run(tally, go_on, bytes_per_s=0)
    return tally
