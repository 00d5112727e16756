"""Every file tree keeps one contract; this runs it over those that CPython can run.

The browser's own runs the same checks in a real Chromium (e2e/page/test_adapters.py).
"""

import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from client_py.append_file import CheckedAppendFile
from client_py.local.disk_file_tree import DiskFileTree
from client_py.ports import FileLockedError, StorageBlockedError, StorageFailedError, StorageFullError
from client_py.testing.memory_disk import FullAnswer, MemoryDisk
from client_py.testing.memory_file_tree import MemoryFileTree
from tests.contracts.file_tree_contract import CHECKS, OpenTree


def open_memory_trees(_: Path) -> OpenTree:
    disk, opened = MemoryDisk(), iter(range(1_000_000))
    return lambda: MemoryFileTree(disk, f"worker-{next(opened)}")


def open_disk_trees(folder: Path) -> OpenTree:
    return lambda: DiskFileTree(folder / "made" / "when-needed")


@pytest.mark.parametrize("open_trees", [open_memory_trees, open_disk_trees], ids=["memory", "disk"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_a_file_tree_keeps_the_contract(
    check: Callable[[OpenTree], Awaitable[None]], open_trees: Callable[[Path], OpenTree], tmp_path: Path
) -> None:
    await check(open_trees(tmp_path))


@pytest.mark.parametrize("answer", FullAnswer)
async def test_an_append_that_does_not_fit_is_refused_and_leaves_the_file_as_it_was(answer: FullAnswer) -> None:
    disk = MemoryDisk(capacity_bytes=10)
    disk.full_answer = answer
    tree = MemoryFileTree(disk)
    await tree.create_folder("full")
    file = await tree.create_file("full", "journal")
    file.append(b"12345678")
    with pytest.raises(StorageFullError):
        file.append(b"9012")
    assert file.size == 8
    assert await tree.list_files("full") == [("journal", 8)], "what was torn is cut back"
    file.append(b"90")
    assert await tree.read("full", "journal", 0, 99) == b"1234567890"
    with pytest.raises(StorageFullError):
        await tree.probe()


async def test_what_could_not_be_cut_back_is_written_over() -> None:
    disk = MemoryDisk(capacity_bytes=10)
    disk.full_answer = FullAnswer.SHORT_COUNT
    tree = MemoryFileTree(disk)
    await tree.create_folder("torn")
    file = await tree.create_file("torn", "journal")
    file.append(b"1234")
    disk.fail_at = {disk.operations + 2}  # the cutting back that follows the write
    with pytest.raises(StorageFullError, match="6 of 8 bytes"):
        file.append(b"56789012")
    assert file.size == 4
    file.append(b"abc")
    assert await tree.read("torn", "journal", 0, 99) == b"1234abc890"


class CountingHandle:
    """client_py.append_file.Handle that claims to have taken `claim` bytes."""

    def __init__(self, claim: int) -> None:
        self.claim = claim
        self.size = 0

    def write(self, content: bytes, at: int) -> int:
        self.size = at + len(content)
        return self.claim

    def truncate(self, size: int) -> None:
        self.size = size

    def flush(self) -> None:
        return

    def close(self) -> None:
        return


@pytest.mark.parametrize("claim", [0, 3, 5, 4_294_967_288, -8])
def test_any_count_but_the_length_asked_is_a_full_storage(claim: int) -> None:
    handle = CountingHandle(claim)
    file = CheckedAppendFile(handle, "folder/name")
    with pytest.raises(StorageFullError, match=f"{claim} of 4 bytes"):
        file.append(b"1234")
    assert (file.size, handle.size) == (0, 0)
    file.close()
    with pytest.raises(StorageFailedError, match="is closed"):
        file.append(b"1234")


async def test_blocked_storage_is_said_to_be_blocked(tmp_path: Path) -> None:
    disk = MemoryDisk()
    disk.is_blocked = True
    with pytest.raises(StorageBlockedError):
        await MemoryFileTree(disk).probe()
    (tmp_path / "file").write_bytes(b"a file where a folder should be")
    with pytest.raises(StorageBlockedError, match="probing storage"):
        await DiskFileTree(tmp_path / "file").probe()


async def test_a_dead_worker_changes_nothing_more() -> None:
    disk = MemoryDisk()
    tree = MemoryFileTree(disk, "first")
    await tree.create_folder("dead")
    file = await tree.create_file("dead", "journal")
    disk.kill("first")
    with pytest.raises(StorageFailedError):
        file.append(b"late")
    with pytest.raises(StorageFailedError):
        await tree.remove_folder("dead")
    assert await MemoryFileTree(disk, "second").list_files("dead") == [("journal", 0)]


HOLD_A_FILE = """
import asyncio, sys
from pathlib import Path
from client_py.local.disk_file_tree import DiskFileTree

async def hold() -> None:
    tree = DiskFileTree(Path(sys.argv[1]))
    await tree.create_folder("held")
    file = await tree.create_file("held", "segment")
    file.append(b"kept")
    file.flush()
    print("held", flush=True)
    sys.stdin.read()

asyncio.run(hold())
"""


async def test_a_file_of_another_process_is_locked_until_that_process_dies(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_A_FILE, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        tree = DiskFileTree(tmp_path)
        assert await tree.read("held", "segment", 0, 10) == b"kept", "reading takes no lock"
        with pytest.raises(FileLockedError):
            await tree.remove_folder("held")
        holder.kill()
        holder.wait()
        assert await tree.read("held", "segment", 0, 10) == b"kept"
        await tree.remove_folder("held")
        assert await tree.list_folders() == []


async def test_a_disk_that_is_really_full_is_said_to_be_full(tmp_path: Path) -> None:
    """A limit on the file's size answers as a full disk does: with a short count first, then with an error."""
    script = """
import asyncio, resource, signal, sys
from pathlib import Path
from client_py.local.disk_file_tree import DiskFileTree
from client_py.ports import StorageFullError

async def fill() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
    tree = DiskFileTree(Path(sys.argv[1]))
    await tree.create_folder("full")
    file = await tree.create_file("full", "segment")
    for _ in range(3):
        file.append(bytes(3_000))
    for size in (3_000, 1_001):
        try:
            file.append(bytes(size))
        except StorageFullError:
            print(file.size, await tree.list_files("full"))

asyncio.run(fill())
"""
    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert run.stdout == "9000 [('segment', 9000)]\n" * 2, run.stderr
