"""Behind the server's back: objects are lost or spoiled, rows vanish. What is hit is excused until it heals."""

from uuid import UUID

from server.storage.keys import CHUNKS_PREFIX, PACKS_PREFIX
from tests.simulation.server.world import Key, World, body_of


def damage_object(world: World, choice: int, *, flips: bool) -> None:
    """An object is lost or spoiled; what stood in it is excused until it is stored or verified again."""
    world.land_commits()
    keys = [key for key in sorted(world.bucket.bodies()) if key.startswith((CHUNKS_PREFIX, PACKS_PREFIX))]
    if not keys:
        return
    key = keys[choice % len(keys)]
    body = world.bucket.bodies()[key]
    world.excused |= {chunk for chunk, version in world.acked.items() if body_of(chunk, version) in body}
    for row in world.ledger.objects.values():
        if row.stored.key == key:  # also rows of a COMMIT whose answer was lost
            chunks = world.ledger.chunks.of_object(row.stored.object_id)
            world.excused |= {(chunk.recording_id, chunk.chunk_index) for chunk in chunks}
    world.bucket.damage(key, flips=flips)


def drop_rows(world: World, choice: int) -> None:
    """Rows vanish from the ledger: a chunk's, an object's with its chunks', or a recording's."""
    world.land_commits()
    ledger = world.ledger
    match choice % 3:
        case 0:
            keys = sorted(key for object_id in ledger.objects for key in _keys_in(world, object_id))
            _drop_chunks(world, keys[choice % len(keys) :][:1] if keys else [])
        case 1:
            ids = sorted(object_id for object_id in ledger.objects if not _is_disputed(world, object_id))
            for object_id in ids[choice % len(ids) :][:1] if ids else []:
                _drop_chunks(world, _keys_in(world, object_id))
                del ledger.objects[object_id]
        case _:
            ids = sorted(ledger.recordings)
            for recording_id in ids[choice % len(ids) :][:1] if ids else []:
                del ledger.recordings[recording_id]
                world.excused_recordings.add(recording_id)


def _keys_in(world: World, object_id: UUID) -> list[Key]:
    return [(row.recording_id, row.chunk_index) for row in world.ledger.chunks.of_object(object_id)]


def _is_disputed(world: World, object_id: UUID) -> bool:
    return any(each.object_id == object_id for contents in world.ledger.disputed.values() for each in contents)


def _drop_chunks(world: World, keys: list[Key]) -> None:
    for key in keys:
        world.ledger.chunks.remove(key)
        world.ledger.disputed.pop(key, None)
        world.excused.add(key)
