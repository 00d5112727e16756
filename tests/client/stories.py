"""What the stories share: how they are told, and what must be true at their end."""

from collections.abc import Awaitable, Callable
from typing import Any

from client_py.messages import View
from client_py.testing.fake_window import Capture
from client_py.testing.virtual_time import run_virtually
from client_py.testing.world import Tab, World


def story(tell: Callable[[World], Awaitable[Any]]) -> Callable[[], None]:
    """Make an `async def test(world)` a test that is told in virtual time."""

    def test() -> None:
        async def tell_it() -> None:
            await tell(World())

        run_virtually(tell_it())

    test.__name__ = tell.__name__
    test.__doc__ = tell.__doc__
    return test


def all_are(state: str, count: int = 1) -> Callable[[View], bool]:
    """At least `count` recordings are shown, and all of them in this state."""
    return lambda view: len(view.recordings) >= count and all(row.state == state for row in view.recordings)


async def everything_complete(tab: Tab, count: int = 1) -> View:
    """Wait until all recordings have their certificate and are verified."""
    return await tab.until(all_are("complete", count), what="everything complete")


def check_stored(world: World, capture: Capture) -> None:
    """Every slice that was shown as saved is in the bucket, once, in order, and nothing else is."""
    stored = world.server.content_of(capture.recording_id)
    assert stored.startswith(capture.saved_content)
    assert capture.content.startswith(stored)
