"""The audit of a load run passes what is whole and names each kind of harm, in own objects and in packs alike."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from uuid import UUID

import pytest

from loadtest.bucket_contents import FoundChunk, StrangeObject, read_object
from loadtest.check_bytes import LedgerRow, Verdict, audit, describe
from loadtest.workload import Run, expected_body, recording_id_of
from protocol.ids import loose_recording_id
from server.storage.pack_format import PackChunk, build_pack

RUN = Run("r", 6, {})
OBJECT_ID = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
PACK_KEY = f"packs/2026/11/24/{OBJECT_ID}.pack"


@dataclass
class World:
    """A bucket's objects and a ledger's rows."""

    objects: dict[str, bytes] = field(default_factory=dict)
    rows: dict[UUID, LedgerRow] = field(default_factory=dict)

    def found(self) -> Iterator[FoundChunk | StrangeObject]:
        for key, body in self.objects.items():
            yield from read_object(key, body)

    def audit(self, run: Run = RUN) -> Verdict:
        return audit(run, iter(self.rows.values()), self.found())


def make_row(n: int, key: str, offset: int) -> LedgerRow:
    body = expected_body("r", n)
    recording_id = recording_id_of(f"r-{n}")
    digest = hashlib.sha256(body).hexdigest()
    return LedgerRow(recording_id, 0, 0, "stored", len(body), digest, f"r-{n}", key, offset, "stored")


def own_key(n: int, body: bytes) -> str:
    digest = hashlib.sha256(body).hexdigest()
    return f"chunks/{recording_id_of(f'r-{n}')}/00000000-0000-{digest}-{OBJECT_ID}"


def add_own(world: World, n: int) -> None:
    body = expected_body("r", n)
    world.objects[own_key(n, body)] = body
    row = make_row(n, own_key(n, body), 0)
    world.rows[row.recording_id] = row


def add_pack(world: World, numbers: list[int]) -> None:
    bodies = {n: expected_body("r", n) for n in numbers}
    chunks = [
        PackChunk(loose_recording_id(f"r-{n}"), 0, 0, hashlib.sha256(body).digest(), body, f"r-{n}")
        for n, body in bodies.items()
    ]
    pack, offsets = build_pack(chunks)
    world.objects[PACK_KEY] = pack
    for n, offset in zip(numbers, offsets, strict=True):
        row = make_row(n, PACK_KEY, offset)
        world.rows[row.recording_id] = row


@pytest.fixture
def world() -> World:
    """Chunks 0-2 as own objects, 3-5 in a pack, all acknowledged, beside what else a bucket holds."""
    world = World()
    for n in (0, 1, 2):
        add_own(world, n)
    add_pack(world, [3, 4, 5])
    return world


def test_a_whole_run_is_clean(world: World) -> None:
    verdict = world.audit()
    assert verdict.is_clean, describe(verdict)
    counts = (verdict.sent, verdict.answered_200, verdict.ledger_rows, verdict.chunks_in_bucket, verdict.bytes_equal)
    assert counts == (6, 6, 6, 6, 6)
    assert "every byte is accounted for" in describe(verdict)


def lose_object(world: World) -> None:
    del world.objects[own_key(1, expected_body("r", 1))]


def lose_pack(world: World) -> None:
    del world.objects[PACK_KEY]


def flip_byte(world: World) -> None:
    key = own_key(0, expected_body("r", 0))
    world.objects[key] = b"X" + world.objects[key][1:]


def flip_byte_in_pack(world: World) -> None:
    pack = bytearray(world.objects[PACK_KEY])
    pack[2_000] ^= 1
    world.objects[PACK_KEY] = bytes(pack)


def cut_pack(world: World) -> None:
    world.objects[PACK_KEY] = world.objects[PACK_KEY][:-1]


def flip_index_of_pack(world: World) -> None:
    pack = bytearray(world.objects[PACK_KEY])
    pack[-60] ^= 1
    world.objects[PACK_KEY] = bytes(pack)


def lose_row(world: World) -> None:
    del world.rows[recording_id_of("r-4")]


def change_row(**changes: object) -> Callable[[World], None]:
    def change(world: World) -> None:
        recording_id = recording_id_of("r-2")
        world.rows[recording_id] = replace(world.rows[recording_id], **changes)  # type: ignore[arg-type]

    return change


def store_twice(world: World) -> None:
    body = expected_body("r", 3)
    world.objects[own_key(3, body)] = body


def store_foreign(world: World) -> None:
    body = expected_body("r", 99)
    world.objects[own_key(99, body)] = body


def store_strange(world: World) -> None:
    world.objects["chunks/../x"] = b"?"


def acknowledge_foreign(world: World) -> None:
    world.rows[UUID(int=1)] = make_row(99, "k", 0)


@pytest.mark.parametrize(
    ("plant", "kinds"),
    [
        (lose_object, {"acknowledged, not in the bucket": 1, "its row points to other bytes": 1}),
        (lose_pack, {"acknowledged, not in the bucket": 3, "its row points to other bytes": 3}),
        (flip_byte, {"bytes differ": 1, "digest differs": 1}),
        (flip_byte_in_pack, {"bytes differ": 1, "digest differs": 1}),
        (
            cut_pack,
            {"strange object": 1, "acknowledged, not in the bucket": 3, "its row points to other bytes": 3},
        ),
        (
            flip_index_of_pack,
            {"strange object": 1, "acknowledged, not in the bucket": 3, "its row points to other bytes": 3},
        ),
        (lose_row, {"in the bucket without a row": 1, "acknowledged, no row": 1}),
        (change_row(offset=1), {"its row points to other bytes": 1}),
        (change_row(key="chunks/other"), {"its row points to other bytes": 1}),
        (change_row(sha256="00" * 32), {"row of other bytes": 1}),
        (change_row(size=1), {"row of other bytes": 1}),
        (change_row(state="wanted"), {"row not stored": 1}),
        (change_row(object_state="deleting"), {"row not stored": 1}),
        (change_row(chunk_id="r-5"), {"foreign row": 1, "in the bucket without a row": 1, "acknowledged, no row": 1}),
        (store_twice, {"twice in the bucket": 1}),
        (store_foreign, {"foreign chunk": 1}),
        (store_strange, {"strange object": 1}),
        (acknowledge_foreign, {"foreign row": 1}),
    ],
)
def test_planted_harm_is_named(world: World, plant: Callable[[World], None], kinds: dict[str, int]) -> None:
    plant(world)
    verdict = world.audit()
    assert verdict.harm == kinds
    assert "NOT every byte" in describe(verdict)


def test_what_was_not_acknowledged_may_be_absent_or_present_but_never_wrong(world: World) -> None:
    refused = replace(RUN, sent=8, other_statuses={6: 503, 7: 0})
    assert world.audit(refused).is_clean
    assert world.audit(refused).answered_200 == 6
    add_own(world, 7)  # no answer came, and it was stored all the same
    assert world.audit(refused).is_clean
    world.objects[own_key(7, expected_body("r", 7))] = b"wrong"
    assert world.audit(refused).harm == {"bytes differ": 1, "digest differs": 1}
