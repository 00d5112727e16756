"""What the numbers that Hypothesis draws mean, and how a world comes to rest."""

from collections.abc import Callable, Coroutine
from functools import partial
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from protocol.states import RecordingState
from server.audit.waste import read_entries
from server.storage.keys import CHUNKS_PREFIX, PACKS_PREFIX
from server.storage.pack_format import PackError
from tests.simulation.server.damage import damage_object, drop_rows
from tests.simulation.server.faults import Way
from tests.simulation.server.world import CHUNKS, GRACE_S, LOOSE, SLOTS, Key, World, body_of, loose_key

_ROUNDS_MAX: Final = 6


Act = Callable[[World, int, int], None]


def step(world: World, kind: int, slot: int, choice: int, fault_at: int, way: Way, turns: int) -> None:
    """One operation, or one thing that happens to the world."""
    world.plan.begin(fault_at, way, turns)
    _ACTS[kind % len(_ACTS)](world, slot, choice)


def _send(world: World, slot: int, choice: int) -> None:
    world.run(world.send(_parts(world, slot, choice)))


def _send_two(world: World, slot: int, choice: int) -> None:
    """Two at once, which may contradict each other."""
    world.run(world.send(_parts(world, slot, choice)), world.send(_parts(world, slot, choice ^ 8)))


def _verify(world: World, slot: int, choice: int) -> None:
    world.run(world.verify(world.slots[slot]))


def _complete(world: World, slot: int, choice: int) -> None:
    world.run(_in_order(world.verify(world.slots[slot]), world.complete(world.slots[slot])))


def _delete(world: World, slot: int, choice: int) -> None:
    if choice % 2:
        world.run(world.delete(world.slots[slot]))
    else:  # and chunks that are on their way
        world.run(world.delete(world.slots[slot]), world.send(_parts(world, slot, choice)))


def _replace(world: World, slot: int, choice: int) -> None:
    world.replace(slot)


def _audit(world: World, slot: int, choice: int) -> None:
    world.run(*([world.audit()] if choice % 4 else [world.audit(), world.audit()]))


def _collect(world: World, slot: int, choice: int) -> None:
    world.run(*([world.collect()] if choice % 4 else [world.collect(), world.collect()]))


def _all_at_once(world: World, slot: int, choice: int) -> None:
    world.run(world.collect(), world.audit(), world.send(_parts(world, slot, choice)))


def _advance(world: World, slot: int, choice: int) -> None:
    world.advance((1, 300, 901, 86_400)[choice % 4])


def _land(world: World, slot: int, choice: int) -> None:
    world.plan.begin(0, Way.LATE)
    world.land_puts()


def _damage(world: World, slot: int, choice: int) -> None:
    damage_object(world, choice, flips=choice % 2 == 0)


def _drop_rows(world: World, slot: int, choice: int) -> None:
    drop_rows(world, choice)


def _rename(world: World, slot: int, choice: int) -> None:
    world.run(world.rename(world.slots[slot]))


def _burn(world: World, slot: int, choice: int) -> None:
    world.plan.begin(0, Way.LATE)
    restore = partial(world.restore_backup, collects_first=choice >= 8)
    (world.check_rebuild, world.save_backup, restore, world.land_commits)[choice % 4]()


_ACTS: Final[tuple[Act, ...]] = (
    *[_send] * 8,
    *[_send_two] * 2,
    *[_verify] * 3,
    *[_complete] * 3,
    *[_delete] * 2,
    _replace,
    *[_audit] * 2,
    *[_collect] * 2,
    _all_at_once,
    *[_advance] * 2,
    _land,
    _damage,
    _drop_rows,
    _rename,
    _burn,
)


async def _in_order(*operations: Coroutine[Any, Any, None]) -> None:
    for place, operation in enumerate(operations):
        try:
            await operation
        except BaseException:
            for other in operations[place + 1 :]:
                other.close()
            raise


def _parts(world: World, slot: int, choice: int) -> list[tuple[Key, int, str | None]]:
    """One to three chunks for one flush; every eighth choice is of a client that contradicts."""
    first: Key = (world.slots[slot], choice % CHUNKS)
    second: Key = (world.slots[(slot + 1) % SLOTS], (choice // 3) % CHUNKS)
    loose, chunk_id = loose_key(choice % LOOSE)
    parts: list[tuple[Key, int, str | None]] = [(first, _version(world, first, choice), None)]
    if choice & 1:
        parts.append((second, _version(world, second, 0), None))
    if choice & 2:
        parts.append((loose, 0, chunk_id))
    return [part for part in parts if part[0][0] not in world.deleting or slot == 0]


def _version(world: World, key: Key, choice: int) -> int:
    # Where damage lost the row or its bytes, nothing is left that could refuse another content; and where two stand
    # beside each other, whoever comes with one of them is believed.
    is_open = key in world.excused or key in world.ledger.disputed
    return world.acked.get(key, 0) if is_open else int(choice & 8 == 8)


def converge(world: World) -> None:
    """No fault any more: audits, and clients that send and ask again, end with everything held and verified."""
    world.plan.begin(0, Way.ERROR_BEFORE)
    world.land_commits()
    world.land_puts()
    for recording_id in sorted(world.deleting):
        world.run(world.delete(recording_id))
    world.excused -= {key for key in world.excused if key[0] in world.deleted}
    before = None
    for _ in range(_ROUNDS_MAX):
        world.advance(GRACE_S + 1)
        world.run(world.audit())
        _send_again(world)
        world.run(world.collect())
        world.check()
        # A round that changed nothing is the last: another one is `_check_at_rest`.
        after = (sorted(world.bucket.bodies()), set(world.excused), set(world.excused_recordings), set(world.deleted))
        if after == before:
            break
        before = after
    assert not world.excused, f"never healed: {world.excused}"
    assert not world.excused_recordings, f"never came back: {world.excused_recordings}"
    for recording_id in world.slots:
        if recording_id not in world.deleting and all((recording_id, index) in world.acked for index in range(CHUNKS)):
            row = world.ledger.recordings[recording_id]
            assert row.state is RecordingState.COMPLETE, f"I4: {recording_id} is {row.state}"
    _check_erased(world)
    _check_at_rest(world)
    world.check_rebuild()


def _send_again(world: World) -> None:
    """Clients keep their bytes: each sends what is not held, and asks until it is verified."""
    versions = world.acked | _unanswered(world)
    keys = sorted(key for key in versions if key[0] not in world.deleting)
    loose = {loose_key(number)[0]: loose_key(number)[1] for number in range(LOOSE)}
    for key in keys:
        world.run(world.send([(key, versions[key], loose.get(key))]))
    recordings: set[UUID] = {key[0] for key in keys if key not in loose}
    for recording_id in sorted(recordings):
        world.run(world.verify(recording_id))
        for key in keys:  # `missing` is sent again
            if key[0] == recording_id and key in world.excused:
                world.run(world.send([(key, world.acked[key], None)]))
        world.run(world.verify(recording_id))
        world.run(world.complete(recording_id))
        world.run(world.verify(recording_id))
    for key in [key for key in keys if key in loose and key in world.excused]:
        _read_loose(world, key)


def _unanswered(world: World) -> dict[Key, int]:
    """Damaged chunks whose COMMIT was never answered: nothing was promised, so whoever sent them is still sending.

    Where not even a row is left, nothing is there that could heal.
    """
    rows = {key: world.ledger.chunks.find(key) for key in world.excused - world.acked.keys()}
    world.excused -= {key for key, row in rows.items() if row is None}
    return {
        key: version
        for key, row in rows.items()
        for version in (0, 1)
        if row is not None and row.sha256 == sha256(body_of(key, version)).digest()
    }


def _read_loose(world: World, key: Key) -> None:
    """Nobody verifies a loose chunk; whoever reads it finds the damage, and the next PUT heals it."""
    row = world.ledger.chunks.find(key)
    if row is not None and row.state.value == "stored":
        held = world.ledger.objects[row.object_id].stored
        if world.bucket.bodies().get(held.key, b"")[row.offset : row.offset + row.size] == _body(world, key):
            world.excused.discard(key)


def _body(world: World, key: Key) -> bytes:
    return body_of(key, world.acked[key])


def _check_erased(world: World) -> None:
    """No object that says what it holds has a byte of a deleted recording; others wait for an operator."""
    for key, body in world.bucket.bodies().items():
        if not key.startswith((CHUNKS_PREFIX, PACKS_PREFIX)) or not _is_readable(key, body):
            continue
        for recording_id in world.deleted:
            assert recording_id.hex.encode() not in body, (
                f"{key} still holds bytes of the deleted {recording_id} {world.last_collect.held_back}"
            )


def _is_readable(key: str, body: bytes) -> bool:
    try:
        read_entries(key, body)
    except PackError:
        return False
    return True


def _check_at_rest(world: World) -> None:
    """I5: another audit and another collect change nothing."""
    world.advance(GRACE_S + 1)
    before = sorted(world.bucket.bodies())
    world.run(world.audit())
    world.run(world.collect())
    assert sorted(world.bucket.bodies()) == before
