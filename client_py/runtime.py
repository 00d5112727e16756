"""The only loop of the client: event -> core -> effects -> ports. It schedules and holds no rule.

What the window says is handled before anything else, and appending to the log happens at once
within the loop, so persisting never waits for uploading (I7). Everything else runs as tasks whose
outcome comes back as an event. It runs under CPython's loop and Pyodide's WebLoop alike: strong
references to tasks, no threads, and every failure of a task ends the loop loudly.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine, Iterator
from typing import Any

from client_py.core import effects as ef
from client_py.core import events as ev
from client_py.core.client import Client
from client_py.core.frames import NewerVersionError
from client_py.core.journal import SEGMENT_BYTES
from client_py.folder_work import FolderWork
from client_py.folders import ChunkLostError, Folders
from client_py.messages import Failed, FromWindow, Held, NothingHeld
from client_py.ports import (
    Clock,
    Entropy,
    FileTree,
    Http,
    Locks,
    NetworkError,
    PortError,
    RequestTimedOutError,
    Tabs,
    Window,
)
from client_py.slots import Slots
from protocol.ids import RANDOM_BYTES_OF_UUID7, make_uuid7


class Runtime:
    """One worker's life; compose it with adapters, feed it the window's messages, run it."""

    def __init__(
        self,
        *,
        files: FileTree,
        http: Http,
        clock: Clock,
        entropy: Entropy,
        locks: Locks,
        tabs: Tabs,
        window: Window,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        self._http = http
        self._clock = clock
        self._entropy = entropy
        self._tabs = tabs
        self._window = window
        self._client = Client(segment_bytes=segment_bytes)
        self._folders = Folders(files, locks)
        self._folder_work = FolderWork(files, self._folders)
        self._slots = Slots(locks)
        self._said: deque[ev.Event] = deque()  # by the window: handled first
        self._happened: deque[ev.Event] = deque()
        self._wake = asyncio.Event()
        self._jobs: asyncio.Queue[ef.Effect] = asyncio.Queue()
        self._reading = asyncio.Semaphore(1)  # one log in memory at a time
        self._tasks: set[asyncio.Task[None]] = set()
        self._requests: dict[int, asyncio.Task[None]] = {}
        self._failure: BaseException | None = None

    def receive(self, message: FromWindow) -> None:
        """Take one message of the window; returns at once, never raises, keeps the order of calls."""
        self._said.append(ev.WindowSaid(message=message))
        self._wake.set()

    async def run(self) -> None:
        """Handle events until a fatal error, which the window is told as `Failed` and which is then raised."""
        try:
            self._spawn(self._tick())
            self._spawn(self._listen_to_tabs())
            self._spawn(self._work_on_storage())
            while True:
                self._handle(await self._next_event())
        except Exception as error:
            self._window.post(Failed(message=f"The recorder failed: {type(error).__name__}: {error}"))
            raise
        finally:
            for task in list(self._tasks):
                task.cancel()
            self._folders.close_everything()

    # ------------------------------------------------------------------ the loop

    async def _next_event(self) -> ev.Event:
        await asyncio.sleep(0)  # whatever else is ready gets its turn between two events
        while True:
            if self._failure is not None:
                raise self._failure
            if self._said:
                return self._said.popleft()
            if self._happened:
                return self._happened.popleft()
            self._wake.clear()
            await self._wake.wait()

    def _handle(self, event: ev.Event) -> None:
        """The event, and at once whatever the log answers to its effects."""
        at_once: deque[ev.Event] = deque([event])
        while at_once:
            for effect in self._client.handle(at_once.popleft(), self._moment()):
                at_once.extend(self._perform(effect))

    def _moment(self) -> ev.Moment:
        return ev.Moment(self._clock.monotonic_ms(), self._clock.unix_ms(), self._entropy.uniform())

    def _happen(self, event: ev.Event) -> None:
        self._happened.append(event)
        self._wake.set()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a task, keep it alive, and end the loop with its failure: none goes unseen."""

        async def guarded() -> None:
            try:
                await work
            except Exception as error:  # noqa: BLE001 - whatever it is, the loop raises it
                self._failure = self._failure or error
                self._wake.set()

        task = asyncio.create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: work.close())  # one that is cancelled before it began never awaits it
        return task

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep_ms(self._client.tick_ms)
            if not any(isinstance(event, ev.Ticked) for event in self._happened):
                self._happen(ev.Ticked())

    async def _listen_to_tabs(self) -> None:
        while True:
            self._happen(ev.TabSaid(content=await self._tabs.next_message()))

    async def _work_on_storage(self) -> None:
        """Folder operations one after another, in the order they were decided."""
        while True:
            event = await self._folder_work.do(await self._jobs.get())
            if event is not None:
                self._happen(event)

    # ------------------------------------------------------------------ effects

    def _perform(self, effect: ef.Effect) -> Iterator[ev.Event]:
        """Carry an effect out, or start to; yields the events that are known at once."""
        match effect:
            case ef.AppendSlice():
                yield self._folder_work.append_slice(effect)
            case ef.AppendRecords():
                yield self._folder_work.append_records(effect)
            case ef.TellWindow():
                self._window.post(effect.message)
            case ef.TellTabs():
                self._tabs.publish(effect.content)
            case ef.MakeRecordingId():
                random_bytes = self._entropy.random_bytes(RANDOM_BYTES_OF_UUID7)
                yield ev.RecordingIdMade(recording_id=str(make_uuid7(self._clock.unix_ms(), random_bytes)))
            case ef.SendRequest():
                task = self._spawn(self._request(effect))
                self._requests[effect.request_id] = task
                task.add_done_callback(lambda _: self._requests.pop(effect.request_id, None))
            case ef.CancelRequest():
                if (request := self._requests.get(effect.request_id)) is not None:
                    request.cancel()
            case ef.AdoptFolder():
                self._spawn(self._adopt(effect))
            case ef.HandOver():
                self._spawn(self._hand_over(effect))
            case _:
                self._jobs.put_nowait(effect)

    async def _request(self, effect: ef.SendRequest) -> None:
        request_id, body = effect.request_id, effect.body
        slot = await self._slots.acquire()
        try:
            if isinstance(body, ef.ChunkBody):
                body = await self._folders.read_chunk(body)
            response = await self._http.request(
                effect.method,
                effect.path,
                headers=effect.headers,
                body=body,
                timeout_s=effect.timeout_ms / 1000,
            )
        except NetworkError as error:
            is_timeout = isinstance(error, RequestTimedOutError)
            self._happen(ev.Unanswered(request_id=request_id, is_timeout=is_timeout))
        except (ChunkLostError, PortError) as error:
            is_lost = isinstance(error, ChunkLostError)
            self._happen(ev.ChunkUnreadable(request_id=request_id, is_lost=is_lost, message=str(error)))
        else:
            self._happen(
                ev.Answered(request_id=request_id, status=response.status, headers=response.headers, body=response.body)
            )
        finally:
            slot.release()

    async def _hand_over(self, effect: ef.HandOver) -> None:
        recording_id, chunk_index = effect.body.recording_id, effect.chunk_index
        try:
            content, is_sound = await self._folders.read_what_is_left(effect.body)
        except PortError as error:
            self._window.post(NothingHeld(recording_id=recording_id, chunk_index=chunk_index, message=str(error)))
            return
        self._window.post(
            Held(
                recording_id=recording_id,
                chunk_index=chunk_index,
                run=effect.run,
                mime_type=effect.mime_type,
                is_sound=is_sound,
                content=content,
            )
        )

    async def _adopt(self, effect: ef.AdoptFolder) -> None:
        recording_id, is_captured_here = effect.recording_id, effect.is_captured_here
        if not await self._folders.try_lock(recording_id, is_captured_here=is_captured_here):
            self._happen(ev.FolderBusy(recording_id=recording_id))
            await self._folders.lock(recording_id, is_captured_here=is_captured_here)
        async with self._reading:
            try:
                log = await self._folders.read_log(recording_id, effect.chunk_bytes)
            except (NewerVersionError, PortError) as error:
                is_newer = isinstance(error, NewerVersionError)
                self._happen(ev.LogRefused(recording_id=recording_id, is_newer=is_newer, message=str(error)))
            else:
                self._happen(ev.LogRead(recording_id=recording_id, log=log))
