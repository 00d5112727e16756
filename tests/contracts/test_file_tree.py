"""Every file tree keeps one contract; this runs it over those that CPython can run."""

from collections.abc import Awaitable, Callable

import pytest

from client_py.ports import StorageBlockedError, StorageFailedError, StorageFullError
from client_py.testing.memory_file_tree import MemoryDisk, MemoryFileTree
from tests.contracts.file_tree_contract import CHECKS, OpenTree


def open_memory_trees() -> OpenTree:
    disk, opened = MemoryDisk(), iter(range(1_000_000))
    return lambda: MemoryFileTree(disk, f"worker-{next(opened)}")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_memory_file_tree_keeps_the_contract(check: Callable[[OpenTree], Awaitable[None]]) -> None:
    await check(open_memory_trees())


async def test_an_append_that_does_not_fit_is_refused_and_leaves_the_file_as_it_was() -> None:
    tree = MemoryFileTree(MemoryDisk(capacity_bytes=10))
    await tree.create_folder("full")
    file = await tree.create_file("full", "journal")
    file.append(b"12345678")
    with pytest.raises(StorageFullError):
        file.append(b"9012")
    assert file.size == 8
    file.append(b"90")
    assert await tree.read("full", "journal", 0, 99) == b"1234567890"
    with pytest.raises(StorageFullError):
        await tree.probe()


async def test_blocked_storage_is_said_to_be_blocked() -> None:
    disk = MemoryDisk()
    disk.is_blocked = True
    with pytest.raises(StorageBlockedError):
        await MemoryFileTree(disk).probe()


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
