"""Every awaited call to bucket or ledger fails once, at every position and in each way, and all is well afterwards.

A story is told once to count its calls. Then it is told again for the Nth call of every N and for each way:
error before, error after, done later, killed before, killed after. Afterwards audits and clients' repeats
converge: nothing acknowledged is lost, nothing deleted comes back, and what is at rest stays at rest.
"""

import logging
from collections.abc import Callable, Iterator

import pytest

from server.audit.scrubber import Scrubber, ScrubTally
from server.recordings.describing import trust_installation
from tests.simulation.server.damage import damage_object
from tests.simulation.server.faults import Way
from tests.simulation.server.operations import converge
from tests.simulation.server.world import GRACE_S, World, loose_key

Story = Callable[[World], None]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Faults are not news here."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def furnish(world: World) -> None:
    """A whole recording and half of another in common packs, a deleted one, and a loose chunk."""
    one, two, gone = world.slots
    loose, chunk_id = loose_key(0)
    for index in range(3):
        world.run(world.send([((one, index), 0, None), ((gone, index), 0, None)]))
    world.run(world.send([((two, 0), 0, None), (loose, 0, chunk_id), ((gone, 1), 0, None)]))
    world.run(world.verify(one))
    world.run(world.complete(one))
    world.run(world.delete(gone))


def ingest(world: World) -> None:
    two = world.slots[1]
    world.run(world.send([((two, 0), 0, None), ((two, 1), 0, None), ((two, 2), 0, None)]))


def lose_a_race(world: World) -> None:
    two = world.slots[1]
    world.run(world.send([((two, 1), 0, None)]), world.send([((two, 1), 1, None), ((two, 2), 0, None)]))


def verify(world: World) -> None:
    world.run(world.verify(world.slots[1]))


def complete(world: World) -> None:
    ingest(world)
    world.run(world.complete(world.slots[1]))


def delete(world: World) -> None:
    world.run(world.delete(world.slots[0]))


def audit(world: World) -> None:
    world.run(world.audit())


def audit_of_lost_objects(world: World) -> None:
    damage_object(world, 0, flips=False)
    damage_object(world, 1, flips=True)
    world.run(world.audit())


def scrub_of_damaged_objects(world: World) -> None:
    damage_object(world, 0, flips=False)
    damage_object(world, 1, flips=True)
    scrubber = Scrubber(world.ported, world.audit_ledger, world.store, trust_installation)

    async def go_on(_: ScrubTally) -> None:
        pass

    world.run(scrubber.run(ScrubTally(), go_on, bytes_per_s=0))


def audit_of_an_old_backup(world: World) -> None:
    world.save_backup()
    ingest(world)
    delete(world)
    world.restore_backup()


def collect_on_an_old_backup(world: World) -> None:
    world.save_backup()
    ingest(world)
    delete(world)
    world.restore_backup(collects_first=True)


def collect(world: World) -> None:
    world.run(world.collect())


def collect_what_is_due(world: World) -> None:
    world.run(world.collect())
    world.advance(GRACE_S + 1)
    world.run(world.collect())


def merge_a_day(world: World) -> None:
    ingest(world)
    world.advance(86_400)
    world.run(world.collect())


STORIES: list[Story] = [
    ingest,
    lose_a_race,
    verify,
    complete,
    delete,
    audit,
    audit_of_lost_objects,
    scrub_of_damaged_objects,
    audit_of_an_old_backup,
    collect_on_an_old_backup,
    collect,
    collect_what_is_due,
    merge_a_day,
]


def tell(story: Story, at: int, way: Way) -> World:
    """The story with that fault; the world as it is right afterwards."""
    world = World()
    furnish(world)
    world.advance(1)
    world.plan.call_count = 0
    world.plan.begin(at, way)
    story(world)
    world.check()
    return world


@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_any_call_fails_once_and_everything_converges(story: Story, way: Way) -> None:
    calm = tell(story, 0, way)
    call_count = calm.plan.call_count
    converge(calm)
    calm.loop.close()
    assert call_count, "a story that asks neither bucket nor ledger proves nothing"
    for at in range(1, call_count + 1):
        world = tell(story, at, way)
        assert world.plan.fault_count, f"call {at} was met"
        converge(world)
        world.loop.close()
