"""One browser's origin with its tabs, and the server: everything a story about dying and coming back needs."""

import asyncio
import random
from collections.abc import Callable
from typing import Final

from client_py.local.memory_locks import MemoryLocks, MemoryLockSpace
from client_py.local.memory_tabs import MemoryChannel, MemoryTabs
from client_py.messages import Record, Settings, Stop, View
from client_py.runtime import Runtime
from client_py.testing.fake_window import Capture, FakeWindow, WorkerPort
from client_py.testing.memory_disk import MemoryDisk
from client_py.testing.memory_file_tree import MemoryFileTree
from client_py.testing.memory_holdfast import MemoryHoldfast, MemoryHttp
from client_py.testing.seeded_entropy import SeededEntropy
from client_py.testing.virtual_time import VirtualClock

# Small chunks, quick answers: a story takes seconds of virtual time.
STORY_SETTINGS: Final = Settings(
    slice_ms=100, chunk_bytes=16 * 1024, chunk_ms=500, verify_after_s=0.5, keep_verified_s=3600.0, reverify_s=3600.0
)
WAIT_S_MAX: Final = 3600.0


class Tab:
    """A tab: a window and the worker that serves it now."""

    def __init__(self, world: "World", name: str, settings: Settings) -> None:
        self.world: Final = world
        self.name: Final = name
        self.window: Final = FakeWindow(
            MemoryLocks(world.locks, f"{name}/window"),
            settings=settings,
            unix_ms=world.clock.unix_ms,
            seed=f"{world.seed}/{name}",
        )
        self._workers = 0
        self._running: asyncio.Task[None] | None = None
        self._tabs: MemoryTabs | None = None
        self.failure: BaseException | None = None
        self.start_worker()

    @property
    def worker(self) -> str:
        """The name under which the worker of now owns files and locks."""
        return f"{self.name}/worker-{self._workers}"

    @property
    def view(self) -> View:
        """What the page shows."""
        assert self.window.view is not None, "nothing has been shown yet"
        return self.window.view

    @property
    def capture(self) -> Capture:
        """The one recording captured in this tab."""
        (capture,) = self.window.captures.values()
        return capture

    @property
    def is_dead(self) -> bool:
        """Whether the worker died in the middle of an operation on the disk."""
        return self.worker in self.world.disk.dead

    def start_worker(self) -> None:
        """A first worker, or one in a dead one's place."""
        self._workers += 1
        world, worker = self.world, self.worker

        def is_dead() -> bool:
            return worker in world.disk.dead

        port = WorkerPort(self.window, is_dead)
        self._tabs = MemoryTabs(world.channel)
        runtime = Runtime(
            files=MemoryFileTree(world.disk, worker),
            http=MemoryHttp(world.server, is_dead),
            clock=world.clock,
            entropy=SeededEntropy(f"{world.seed}/{worker}"),
            locks=MemoryLocks(world.locks, worker),
            tabs=self._tabs,
            window=port,
            segment_bytes=world.segment_bytes,
        )
        port.epoch = self.window.start_worker(runtime.receive)
        self._running = asyncio.create_task(self._run(runtime))

    async def kill_worker(self, *, do_handles_linger: bool = False) -> None:
        """Terminate the worker; the window lives on."""
        worker = self.worker
        self.world.disk.kill(worker, do_handles_linger=do_handles_linger)
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        if self._tabs is not None:
            self._tabs.leave()
        self.world.locks.kill(worker)

    async def kill(self, *, do_handles_linger: bool = False) -> None:
        """The whole tab dies at this moment, without a word."""
        self.window.close()
        await self.kill_worker(do_handles_linger=do_handles_linger)
        self.world.locks.kill(f"{self.name}/window")

    async def until(self, is_reached: Callable[[View], bool], *, what: str = "") -> View:
        """Wait, in virtual time, until the page shows it."""
        deadline = asyncio.get_running_loop().time() + WAIT_S_MAX
        while self.window.view is None or not is_reached(self.window.view):
            if self.failure is not None:
                raise self.failure
            if self.is_dead or asyncio.get_running_loop().time() > deadline:
                raise AssertionError(f"never shown: {what}; last shown: {self.window.view}")
            await asyncio.sleep(0.05)
        return self.window.view

    async def ready(self) -> None:
        """Wait until Record can be pressed."""
        await self.until(lambda view: view.state in ("ready", "idle"), what="ready")

    async def record(self, duration_s: float, *, source: str = "microphone") -> Capture:
        """Press Record, and record for a while; Stop is not pressed."""
        await self.ready()
        known = set(self.window.captures)
        self.window.say(Record(source=source))
        await self.until(lambda view: view.state == "recording" and self.window.live_id is not None)
        await asyncio.sleep(duration_s)
        (recording_id,) = set(self.window.captures) - known
        return self.window.captures[recording_id]

    async def stop(self) -> None:
        """Press Stop, and wait until everything is on the device."""
        self.window.say(Stop())
        await self.until(lambda view: view.state in ("idle", "ready"), what="idle after Stop")

    async def _run(self, runtime: Runtime) -> None:
        try:
            await runtime.run()
        except Exception as error:  # noqa: BLE001 - shown to the test by `until`
            self.failure = error


class World:
    """The disk, the locks, the channel and the server that all tabs share."""

    def __init__(self, seed: int = 0, *, segment_bytes: int = 64 * 1024, clock: VirtualClock | None = None) -> None:
        self.seed = seed
        self.segment_bytes = segment_bytes
        self.chance: Final = random.Random(seed)  # noqa: S311 - for tests alone
        self.clock: Final = clock or VirtualClock()
        self.disk: Final = MemoryDisk()
        self.locks: Final = MemoryLockSpace()
        self.channel: Final = MemoryChannel()
        self.server: Final = MemoryHoldfast()
        self._tabs = 0

    def open_tab(self, settings: Settings = STORY_SETTINGS) -> Tab:
        """Open the page in a new tab."""
        self._tabs += 1
        return Tab(self, f"tab-{self._tabs}", settings)
