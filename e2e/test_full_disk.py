"""Both full disks: a quota that is used up, a device without a free block. Nothing stops silently or is lost."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event

import pytest

from client_py.core.room import BALLAST_BYTES
from e2e.machine import Machine, watch_until_saved
from e2e.recorder_page import RecorderPage
from e2e.service import Service
from e2e.witness import Take

DISK_MB = 400  # the profile with the kept page takes about 150
FILLER_PIECE = 1 << 20
ROOM_OF_RECORDS = BALLAST_BYTES // 2  # a record of some bytes fits, the ballast does not
LOOK_EVERY_S = 0.02
FULL = "This device is full"


@contextmanager
def used_up_quota(tab: RecorderPage, service: Service) -> Iterator[None]:
    """The origin may hold a little more than it holds now, and write() throws after that.

    An open file has been granted a megabyte or two already, which only video uses up soon.
    """
    session = tab.page.context.new_cdp_session(tab.page)
    usage = tab.page.evaluate("navigator.storage.estimate().then(({ usage }) => usage)")
    session.send("Storage.overrideQuotaForOrigin", {"origin": service.url, "quotaSize": usage + 20_000})
    yield
    session.send("Storage.overrideQuotaForOrigin", {"origin": service.url})
    session.detach()


def fill(filler: Path) -> None:
    """Not a block is free on the file system of the filler, and write() takes less than it was given."""
    with filler.open("ab", buffering=0) as file, suppress(OSError):
        while file.write(b"\x5a" * FILLER_PIECE):
            pass


@contextmanager
def full_device(folder: Path) -> Iterator[None]:
    """Not a block is free on the file system of the folder, and whatever comes free is taken again.

    The browser gives room back of its own accord, by a cache or a log that it drops: were it left to
    the recorder, the device would not be full any more.
    """
    filler, is_over = folder / "filler", Event()

    def keep_full() -> None:
        with filler.open("ab", buffering=0) as file:
            while not is_over.wait(LOOK_EVERY_S):
                freed = shutil.disk_usage(folder).free - ROOM_OF_RECORDS
                if freed > 0:
                    with suppress(OSError):
                        file.write(b"\x5a" * freed)

    fill(filler)
    with ThreadPoolExecutor(1) as keeper:
        kept = keeper.submit(keep_full)
        try:
            yield
        finally:
            is_over.set()
            kept.result()
            filler.unlink()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, in memory, that a test may fill."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "holdfast", str(folder)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode != 0:
        pytest.skip("only root may mount a small file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def record_until_full(tab: RecorderPage, take: Take) -> None:
    """The page says that the device is full, and the recording goes on in memory."""
    tab.wait(lambda: FULL in tab.page.get_by_test_id("alarm").inner_text(), "the alarm")
    saved, captured = tab.count("slices-durable"), tab.count("slices-captured")
    tab.wait_for_count("slices-captured", captured + 15)
    assert tab.state == "recording"
    assert tab.count("slices-durable") - saved < tab.count("slices-captured") - captured
    # What had been saved is sealed and sent all the same.
    tab.wait(lambda: tab.count("chunks-acknowledged") == tab.count("chunks-sealed") > 0, "what is saved to be sent")
    assert take.stopped_at_ms is None


def finish(tab: RecorderPage, take: Take, recording_id: str, service: Service) -> None:
    """There is room again: everything becomes durable and arrives, in its place also what was held meanwhile."""
    tab.wait(lambda: not tab.page.get_by_test_id("alarm").is_visible(), "the end of the alarm")
    captured = tab.count("slices-captured")
    tab.wait_for_count("slices-durable", captured)
    tab.stop()
    tab.wait_for_row(recording_id, "complete", limit_s=120)
    tab.wait(lambda: take.is_whole, "the witness to have every slice")
    assert service.stores.read_recording(recording_id) == take.content


def test_a_used_up_quota_is_said_and_the_recording_goes_on_until_there_is_room(
    service: Service, start_machine: Callable[..., Machine]
) -> None:
    machine = start_machine()
    tab = machine.open_tab()
    tab.wait(lambda: tab.shown["offline-use"] == "ready", "the page to be kept")
    recording_id, take = machine.record(tab, "camera")
    watch_until_saved(tab, take, 10)
    with used_up_quota(tab, service):
        record_until_full(tab, take)
    finish(tab, take, recording_id, service)


def test_a_device_without_a_free_block_is_said_and_the_recording_goes_on_until_there_is_room(
    service: Service, start_machine: Callable[..., Machine], small_disk: Path
) -> None:
    machine = start_machine(folder=small_disk)
    tab = machine.open_tab()
    tab.wait(lambda: tab.shown["offline-use"] == "ready", "the page to be kept")
    recording_id, take = machine.record(tab)
    watch_until_saved(tab, take, 10)
    with full_device(small_disk):
        record_until_full(tab, take)
    finish(tab, take, recording_id, service)
