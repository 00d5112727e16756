"""Whole stories on fakes: record, die, come back, and find every slice that was shown as saved in the bucket."""

import asyncio

from client_py.testing.virtual_time import run_virtually
from client_py.testing.world import World


def test_a_recording_reaches_the_bucket_and_gets_its_certificate() -> None:
    async def story() -> None:
        world = World()
        tab = world.open_tab()
        capture = await tab.record(5.0)
        await tab.stop()
        view = await tab.until(lambda view: view.recordings[0].state == "complete", what="complete")
        assert world.server.content_of(capture.recording_id) == capture.content
        row = view.recordings[0]
        assert row.slices_captured == row.slices_durable == len(capture.slices)
        assert row.chunks_sealed == row.chunks_acknowledged == row.chunks_verified
        await tab.kill()

    run_virtually(story())


def test_everything_shown_as_saved_reaches_the_bucket_after_the_tab_dies_while_recording() -> None:
    async def story() -> None:
        world = World()
        tab = world.open_tab()
        capture = await tab.record(3.3)
        await tab.kill()
        saved = capture.saved_content
        assert saved

        again = world.open_tab()
        await again.until(
            lambda view: bool(view.recordings) and view.recordings[0].state == "complete", what="complete"
        )
        assert world.server.content_of(capture.recording_id).startswith(saved)
        assert capture.content.startswith(world.server.content_of(capture.recording_id))
        await again.kill()
        await asyncio.sleep(0)

    run_virtually(story())
