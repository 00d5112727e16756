"""Upload yields to recording (I7): a slice waits for nothing that answers, other tabs or chunks have piled up."""

import asyncio

from client_py.local.memory_tabs import MemoryTabs
from client_py.testing.virtual_time import VirtualClock
from client_py.testing.world import World
from tests.client.stories import everything_complete, story

BACKLOG = 500


class CountingClock(VirtualClock):
    """Counts the moments that are taken; the runtime takes one for each event that it handles."""

    moments = 0

    def unix_ms(self) -> int:
        self.moments += 1
        return super().unix_ms()


@story
async def test_upload_yields_to_recording_a_slice_overtakes_whatever_piled_up_before_it(_: World) -> None:
    clock = CountingClock()
    world = World(clock=clock)
    tab = world.open_tab()
    capture = await tab.record(1.0)

    # Given a backlog of things that happened, one of which is handled each time
    chatter = MemoryTabs(world.channel)
    for _number in range(BACKLOG):
        chatter.publish(b"nothing that anybody understands")
    begun_at = clock.moments
    while clock.moments < begun_at + 3:
        await asyncio.sleep(0)

    # When the next slice comes
    came_at = clock.moments
    tab.window.capture_slice(b"a slice")
    number = len(capture.slices) - 1
    while capture.saved < number:
        await asyncio.sleep(0)

    # Then it is saved before the backlog is through
    assert clock.moments - came_at < 10
    await tab.stop()
    await everything_complete(tab)
    assert world.server.content_of(capture.recording_id) == capture.content
