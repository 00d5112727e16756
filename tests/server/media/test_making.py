"""A making: whatever dies or fails in it, no key is written twice, one making counts, and the chunks stay the truth."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from server.media import maker as maker_module
from server.media.libav_child import ChildBrokenError, ChildFailedError, run_child
from server.media.maker import NoRoomError
from server.media.making_loop import MakingLoop
from server.media.orders import run_path
from server.media.slots import take_slot
from server.refusal import Refusal
from server.storage.blob_store import BlobStoreUnavailableError
from server.storage.keys import MediaKey, media_prefix, parse_key
from tests.server.media.recorded import record
from tests.server.media.recorded_recording import record_take
from tests.server.routes.problem_of import problem_of
from tests.server.stack import Stack, media_ledger_of


async def media_keys(stack: Stack) -> list[MediaKey]:
    keys = [parse_key(key) for key in await stack.keys() if key.startswith(media_prefix(stack.recording_id))]
    return [key for key in keys if isinstance(key, MediaKey)]


async def test_several_runs_become_one_file_and_those_that_do_not_fit_are_named(
    memory_stack: Stack, folder: Path
) -> None:
    runs = [record(1.0, video="libvpx-vp9"), record(2.0, video="libvpx"), record(2.0, video="libvpx")]
    take = await record_take(memory_stack, folder, *runs, mime_type="video/webm")
    await take.make()
    media = await take.media()
    assert (media.state, media.runs_left_out) == ("partial", [0])
    assert "run 0 is left out: its video cannot follow" in media.detail
    assert abs(media.duration_s - 4.0) < 0.1
    assert (await take.get("media?download=original&run=0")).content == runs[0]


async def test_what_cannot_be_played_says_why_and_its_bytes_are_served_as_they_are(stack: Stack, folder: Path) -> None:
    junk = b"no media at all " * 1_000
    take = await record_take(stack, folder, junk)
    await take.make()
    media = await take.media()
    assert media.state == "unplayable"
    assert "it cannot be opened" in media.detail
    assert (await take.get()).content == junk
    assert problem_of(await take.get("media?download=media")).code == "media-unknown"
    assert problem_of(await take.get("peaks")).code == "media-unknown"
    assert await media_ledger_of(stack.ledger).list_unmade(1_000) == [] or stack.recording_id not in (
        await media_ledger_of(stack.ledger).list_unmade(1_000)
    )


async def test_a_recording_without_a_chunk_is_unplayable(memory_stack: Stack, folder: Path) -> None:
    take = await record_take(memory_stack, folder)
    await take.make()
    assert (await take.media()).state == "unplayable"


@pytest.mark.parametrize("failing", range(4), ids=["media.webm", "peaks.json", "poster.jpg", "media.json"])
async def test_a_making_that_ends_between_two_puts_is_made_again_under_other_keys(
    memory_stack: Stack, folder: Path, failing: int
) -> None:
    take = await record_take(memory_stack, folder, record(1.0, video="libvpx"), mime_type="video/webm")
    store: Any = memory_stack.store
    store.put_faults.extend([*[None] * failing, BlobStoreUnavailableError("away")])
    with pytest.raises(BlobStoreUnavailableError):
        await take.make()
    assert not any(folder.iterdir())
    left = {key.media_id for key in await media_keys(memory_stack)}
    assert len(left) == (1 if failing else 0)

    made = await take.make()  # MemoryBlobStore raises where a key is put twice (I11)

    assert made.media_id not in left
    assert {key.name for key in await media_keys(memory_stack) if key.media_id == made.media_id} == {
        "media.webm",
        "peaks.json",
        "poster.jpg",
        "media.json",
    }
    assert (await take.media()).state == "whole"


async def test_a_making_that_was_stored_and_not_decided_is_taken_over_and_not_made_again(
    stack: Stack, folder: Path
) -> None:
    take = await record_take(stack, folder, record(1.0))
    made = await take.make()
    before = await stack.keys()
    # As a ledger that was rebuilt from the bucket.
    assert await media_ledger_of(stack.ledger).forget_media(stack.recording_id, made.media_id)
    assert await take.make() == made
    assert await stack.keys() == before


async def test_two_that_make_the_same_do_no_harm(stack: Stack, folder: Path) -> None:
    take = await record_take(stack, folder, record(1.0))
    makers = [take.maker(), take.maker()]
    made = await asyncio.gather(*(maker.make(stack.recording_id) for maker in makers))
    assert made[0] == made[1] == await media_ledger_of(stack.ledger).find_media(stack.recording_id)
    assert (await take.get()).status_code == 200


async def test_a_recording_deleted_while_it_is_made_has_no_media(
    memory_stack: Stack, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = await record_take(memory_stack, folder, record(1.0))

    async def delete_then_run(step: str, where: Path, *, input_bytes: int) -> None:
        await memory_stack.client.delete(memory_stack.path)
        await run_child(step, where, input_bytes=input_bytes)

    monkeypatch.setattr(maker_module, "run_child", delete_then_run)
    assert await take.maker().make(memory_stack.recording_id) is None
    assert problem_of(await take.get()).code == "recording-deleted"


async def test_a_chunk_that_is_damaged_when_it_is_spooled_puts_the_making_off(
    memory_stack: Stack, folder: Path
) -> None:
    take = await record_take(memory_stack, folder, record(1.0))
    located = (await memory_stack.ledger.find_chunks(memory_stack.recording_id, [1]))[1]
    await memory_stack.store.delete(located.object.key)
    with pytest.raises(Refusal, match="chunk-damaged"):
        await take.make()
    assert not any(folder.iterdir())
    assert await media_ledger_of(memory_stack.ledger).list_unmade(10) == []  # it is damaged, until it is sent again


async def test_no_room_puts_the_making_off(memory_stack: Stack, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take = await record_take(memory_stack, folder, record(1.0))
    monkeypatch.setattr(maker_module, "_DISK_BYTES_SPARE", 1 << 60)
    with pytest.raises(NoRoomError):
        await take.make()
    assert await media_ledger_of(memory_stack.ledger).list_unmade(10) == [memory_stack.recording_id]


# -- the child


async def test_a_child_that_dies_of_the_file_twice_makes_it_unplayable_and_nothing_else_fails(
    memory_stack: Stack, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = await record_take(memory_stack, folder, record(1.0))
    deaths: list[str] = []

    async def die(step: str, where: Path, *, input_bytes: int) -> None:
        deaths.append(step)
        raise ChildFailedError(f"{step} was ended by SIGSEGV")

    monkeypatch.setattr(maker_module, "run_child", die)
    await take.make()
    assert deaths == ["join", "join"]
    assert (await take.media()).detail.startswith("join was ended by SIGSEGV")
    assert (await take.get()).content == record(1.0)


async def test_a_child_that_dies_over_the_pictures_leaves_the_file(
    memory_stack: Stack, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = await record_take(memory_stack, folder, record(1.0))

    async def die_later(step: str, where: Path, *, input_bytes: int) -> None:
        if step == "picture":
            raise ChildFailedError("picture was ended by SIGSEGV")
        await run_child(step, where, input_bytes=input_bytes)

    monkeypatch.setattr(maker_module, "run_child", die_later)
    await take.make()
    media = await take.media()
    assert (media.state, media.has_peaks) == ("whole", False)


async def test_the_child_meets_its_bound_of_memory_and_the_server_goes_on(tmp_path: Path) -> None:
    run_path(tmp_path, 0).write_bytes(record(1.0))
    (tmp_path / "order.json").write_text('{"runs": [0]}')
    with pytest.raises((ChildFailedError, ChildBrokenError)):
        await run_child("join", tmp_path, input_bytes=1_000, memory_bytes=64 << 20)
    await run_child("join", tmp_path, input_bytes=1_000)
    assert (tmp_path / "media.webm").exists()


async def test_a_child_that_cannot_work_at_all_does_not_blame_the_file(tmp_path: Path) -> None:
    with pytest.raises(ChildBrokenError):  # no order: not the file's doing
        await run_child("join", tmp_path, input_bytes=1_000)


async def test_the_child_knows_no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from server.media import libav_child

    monkeypatch.setenv("HOLDFAST_S3_SECRET_KEY", "secret")
    monkeypatch.setenv("HOLDFAST_DATABASE_URL", "postgresql://x")
    assert not [name for name in libav_child._environment() if name.startswith("HOLDFAST_")]


async def test_a_cancelled_making_leaves_no_child(
    memory_stack: Stack, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = await record_take(memory_stack, folder, record(1.0))
    started = asyncio.Event()
    made: list[asyncio.subprocess.Process] = []
    real = asyncio.create_subprocess_exec

    async def start(*arguments: str, **options: Any) -> asyncio.subprocess.Process:
        made.append(await real(*arguments, **options))
        started.set()
        return made[0]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start)
    making = asyncio.create_task(take.make())
    await started.wait()
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    assert made[0].returncode == -signal.SIGKILL
    assert not any(folder.iterdir())


# -- the loop


async def test_the_loop_makes_all_that_waits_and_passes_over_what_failed_a_moment_ago(
    memory_stack: Stack, folder: Path
) -> None:
    take = await record_take(memory_stack, folder, record(1.0))
    now_s = 0.0
    ledger = media_ledger_of(memory_stack.ledger)
    loop = MakingLoop(ledger, folder, lambda where: take.maker(), slots=1, read_clock_s=lambda: now_s)
    store: Any = memory_stack.store
    store.put_faults.append(BlobStoreUnavailableError("away"))

    assert await loop.make_one(take.maker())
    assert await ledger.find_media(memory_stack.recording_id) is None
    assert not await loop.make_one(take.maker()), "it was tried again at once"
    now_s = 2.0
    assert await loop.make_one(take.maker())
    assert await ledger.find_media(memory_stack.recording_id) is not None
    assert not await loop.make_one(take.maker())


async def test_the_loop_leaves_what_another_machine_works_on(stack: Stack, folder: Path) -> None:
    take = await record_take(stack, folder, record(1.0))
    ledger = media_ledger_of(stack.ledger)
    loop = MakingLoop(ledger, folder, lambda where: take.maker(), slots=1)
    async with ledger.hold(stack.recording_id) as is_ours:
        assert is_ours
        while await loop.make_one(take.maker()):  # other recordings of this module's stores
            pass
        assert await ledger.find_media(stack.recording_id) is None
    assert await loop.make_one(take.maker())
    assert await ledger.find_media(stack.recording_id) is not None


def test_a_slot_is_one_process_at_a_time_and_begins_empty(tmp_path: Path) -> None:
    first = take_slot(tmp_path, "making", 1)
    assert first is not None
    (first.folder / "left").write_bytes(b"x")
    assert take_slot(tmp_path, "making", 1) is None
    second = take_slot(tmp_path, "making", 2)
    assert second is not None
    second.release()
    # As after a kill: the lock goes with the process, the folder stays.
    os.close(first._descriptor)
    again = take_slot(tmp_path, "making", 1)
    assert again is not None
    assert list(again.folder.iterdir()) == []
    again.release()
