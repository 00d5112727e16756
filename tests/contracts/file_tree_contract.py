"""What every file tree must keep (client_py.ports.FileTree), as checks in plain Python.

They need no pytest, because the same checks run over the fakes under CPython and over the real OPFS
inside a worker. `open_tree` gives another view of the same storage each time, as another worker
would have it; each check works in a folder of its own name, so the storage need not be empty.
"""

from collections.abc import Awaitable, Callable

from client_py.ports import FileLockedError, FileMissingError, FileTree, StorageFailedError

OpenTree = Callable[[], FileTree]

ALL_BYTES = bytes(range(256))


async def check_probe_passes_where_storage_works_and_leaves_nothing(open_tree: OpenTree) -> None:
    tree = open_tree()
    before = sorted(await tree.list_folders())
    await tree.probe()
    await tree.probe()
    assert sorted(await tree.list_folders()) == before


async def check_creating_a_folder_again_is_a_success(open_tree: OpenTree) -> None:
    tree = open_tree()
    await tree.create_folder("folder-again")
    await tree.create_folder("folder-again")
    assert (await open_tree().list_folders()).count("folder-again") == 1
    assert await tree.list_files("folder-again") == []


async def check_what_was_appended_is_read_back_exactly(open_tree: OpenTree) -> None:
    tree = open_tree()
    await tree.create_folder("read-back")
    file = await tree.create_file("read-back", "segment")
    content = ALL_BYTES * 4096  # 1 MiB of every value a byte can have
    file.append(content)
    file.append(b"")
    file.append(b"tail")
    assert file.size == len(content) + 4
    file.flush()
    file.close()
    assert await tree.read("read-back", "segment", 0, file.size) == content + b"tail"
    assert await open_tree().read("read-back", "segment", 0, file.size) == content + b"tail"


async def check_an_open_file_is_read_by_its_own_tree_and_by_others(open_tree: OpenTree) -> None:
    tree = open_tree()
    await tree.create_folder("read-open")
    file = await tree.create_file("read-open", "journal")
    for number in range(20):
        file.append(f"record {number};".encode())
        file.flush()
        assert (await tree.read("read-open", "journal", 0, file.size)).endswith(f"record {number};".encode())
    assert await open_tree().read("read-open", "journal", 0, 9) == b"record 0;"
    assert await open_tree().list_files("read-open") == [("journal", file.size)]
    file.close()


async def check_reading_past_the_end_gives_what_there_is(open_tree: OpenTree) -> None:
    tree = open_tree()
    await tree.create_folder("read-part")
    file = await tree.create_file("read-part", "segment")
    file.append(b"0123456789")
    file.flush()
    for reader in (tree, open_tree()):
        assert await reader.read("read-part", "segment", 4, 3) == b"456"
        assert await reader.read("read-part", "segment", 8, 100) == b"89"
        assert await reader.read("read-part", "segment", 10, 1) == b""
        assert await reader.read("read-part", "segment", 50, 5) == b""
        assert await reader.read("read-part", "segment", 0, 0) == b""
    file.close()
    assert await tree.read("read-part", "segment", 8, 100) == b"89"


async def check_a_file_that_exists_is_not_created_again(open_tree: OpenTree) -> None:
    tree = open_tree()
    await tree.create_folder("create-twice")
    file = await tree.create_file("create-twice", "journal")
    file.append(b"kept")
    file.flush()
    for other in (tree, open_tree()):
        await _expect(StorageFailedError, other.create_file("create-twice", "journal"))
    file.close()
    await _expect(StorageFailedError, open_tree().create_file("create-twice", "journal"))
    assert await tree.read("create-twice", "journal", 0, 10) == b"kept"


async def check_what_is_missing_is_said_to_be_missing(open_tree: OpenTree) -> None:
    tree = open_tree()
    await _expect(FileMissingError, tree.list_files("no-such-folder"))
    await _expect(FileMissingError, tree.read("no-such-folder", "file", 0, 1))
    await _expect(FileMissingError, tree.create_file("no-such-folder", "file"))
    await tree.create_folder("without-file")
    await _expect(FileMissingError, tree.read("without-file", "file", 0, 1))


async def check_files_are_listed_with_their_sizes(open_tree: OpenTree) -> None:
    tree = open_tree()
    await tree.create_folder("listing")
    for name, content in (("empty", b""), ("one", b"1"), ("many", ALL_BYTES)):
        file = await tree.create_file("listing", name)
        file.append(content)
        file.flush()
        file.close()
    assert sorted(await tree.list_files("listing")) == [("empty", 0), ("many", 256), ("one", 1)]


async def check_removing_a_file_again_is_a_success(open_tree: OpenTree) -> None:
    tree = open_tree()
    await tree.create_folder("remove-file")
    file = await tree.create_file("remove-file", "segment")
    file.append(b"gone")
    file.close()
    await tree.remove_file("remove-file", "segment")
    await tree.remove_file("remove-file", "segment")
    await tree.remove_file("no-such-folder", "segment")
    assert await open_tree().list_files("remove-file") == []
    # The name is free again.
    (await tree.create_file("remove-file", "segment")).close()


async def check_an_open_file_is_not_removed_until_it_is_closed(open_tree: OpenTree) -> None:
    tree = open_tree()
    await tree.create_folder("remove-open")
    file = await tree.create_file("remove-open", "segment")
    file.append(b"held")
    file.flush()
    await _expect(FileLockedError, open_tree().remove_file("remove-open", "segment"))
    await _expect(FileLockedError, open_tree().remove_folder("remove-open"))
    assert await tree.read("remove-open", "segment", 0, 4) == b"held"
    file.close()
    file.close()
    await open_tree().remove_file("remove-open", "segment")
    assert await tree.list_files("remove-open") == []


async def check_removing_a_folder_takes_everything_in_it(open_tree: OpenTree) -> None:
    tree = open_tree()
    await tree.create_folder("remove-folder")
    for name in ("slices", "journal"):
        (await tree.create_file("remove-folder", name)).close()
    await tree.remove_folder("remove-folder")
    await tree.remove_folder("remove-folder")
    assert "remove-folder" not in await open_tree().list_folders()
    await tree.create_folder("remove-folder")
    assert await tree.list_files("remove-folder") == []


async def check_two_open_files_do_not_mix(open_tree: OpenTree) -> None:
    tree = open_tree()
    await tree.create_folder("two-files")
    first = await tree.create_file("two-files", "first")
    second = await tree.create_file("two-files", "second")
    for number in range(50):
        first.append(bytes([number]))
        second.append(bytes([255 - number]))
    for file in (first, second):
        file.flush()
        file.close()
    assert await tree.read("two-files", "first", 0, 50) == bytes(range(50))
    assert await tree.read("two-files", "second", 0, 50) == bytes(range(255, 205, -1))


async def check_persistence_is_answered(open_tree: OpenTree) -> None:
    assert isinstance(await open_tree().request_persistence(), bool)


async def _expect(kind: type[Exception], call: Awaitable[object]) -> None:
    try:
        await call
    except kind:
        return
    raise AssertionError(f"expected {kind.__name__}, nothing was raised")


CHECKS = [check for name, check in list(globals().items()) if name.startswith("check_")]
