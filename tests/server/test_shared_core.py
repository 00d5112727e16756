"""What comes to the event loop's core, and what does not."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from server.media import libav_child
from server.settings import read_settings
from server.shared_core import SharedCore

EVERYWHERE = os.sched_getaffinity(0)

pytestmark = pytest.mark.skipif(len(EVERYWHERE) < 2, reason="there is one core, which everything shares anyway")


@pytest.fixture
def entered() -> Iterator[SharedCore]:
    """The core of this thread, which is left at the end."""
    core = SharedCore()
    core.enter()
    yield core
    core.leave()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], int]]:
    """Starts a process of that name that waits; its pid."""
    running: list[subprocess.Popen[bytes]] = []

    def start(name: str) -> int:
        (tmp_path / name).symlink_to(str(shutil.which("sleep")))
        running.append(subprocess.Popen([tmp_path / name, "600"]))
        return running[-1].pid

    yield start
    for process in running:
        process.kill()
        process.wait()


def test_the_thread_that_enters_stays_on_one_core_until_it_leaves() -> None:
    core = SharedCore()
    core.leave()
    with core.left():
        assert os.sched_getaffinity(0) == EVERYWHERE
    core.enter()
    assert len(os.sched_getaffinity(0)) == 1 and os.sched_getaffinity(0) < EVERYWHERE
    core.leave()
    assert os.sched_getaffinity(0) == EVERYWHERE


def test_a_thread_that_leaves_takes_nobody_along(entered: SharedCore) -> None:
    here = os.sched_getaffinity(0)
    with ThreadPoolExecutor(1) as staying, ThreadPoolExecutor(1, initializer=entered.leave) as leaving:
        assert staying.submit(os.sched_getaffinity, 0).result() == here
        assert leaving.submit(os.sched_getaffinity, 0).result() == EVERYWHERE
    assert os.sched_getaffinity(0) == here


def test_only_a_process_of_the_database_is_brought(entered: SharedCore, start: Callable[[str], int]) -> None:
    with entered.left():
        database, other = start("postgres"), start("postmaster")
    ended = subprocess.Popen(["true"])
    ended.wait()
    for pid in (database, other, ended.pid):
        entered.bring(pid)
    assert os.sched_getaffinity(database) == os.sched_getaffinity(0)
    assert os.sched_getaffinity(other) == EVERYWHERE


def test_who_has_no_core_brings_nobody(start: Callable[[str], int]) -> None:
    database = start("postgres")
    SharedCore().bring(database)
    assert os.sched_getaffinity(database) == EVERYWHERE


async def test_what_makes_files_may_run_anywhere(
    entered: SharedCore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here, seen = os.sched_getaffinity(0), []
    original = asyncio.create_subprocess_exec

    async def note(*command: Any, **options: Any) -> asyncio.subprocess.Process:
        seen.append(os.sched_getaffinity(0))
        return await original("true", stderr=asyncio.subprocess.PIPE)

    monkeypatch.setattr(libav_child, "shared_core", entered)
    monkeypatch.setattr(asyncio, "create_subprocess_exec", note)
    await libav_child.run_child("any", tmp_path, input_bytes=1)
    assert (seen, os.sched_getaffinity(0)) == ([EVERYWHERE], here)


@pytest.mark.parametrize(
    ("word", "database_url", "cores", "is_shared"),
    [
        ("auto", "", 2, True),
        ("auto", "", 4, False),
        ("auto", "", 1, False),
        ("auto", "postgresql://db/holdfast", 2, False),
        ("yes", "postgresql://db/holdfast", 8, True),
        ("no", "", 2, False),
    ],
)
def test_by_itself_a_core_is_shared_beside_an_embedded_database_on_two(
    monkeypatch: pytest.MonkeyPatch, word: str, database_url: str, cores: int, is_shared: bool
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    settings = read_settings({"HOLDFAST_SHARE_CORE": word, "HOLDFAST_DATABASE_URL": database_url})
    assert settings.shares_core is is_shared
