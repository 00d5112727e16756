"""The contract of `BlobStore`, over every adapter: memory, SeaweedFS, MinIO."""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from server.storage.blob_store import LIST_PAGE_MAX, BlobNotFoundError, BlobStore

KEY = "chunks/0190163d-8694-7000-8000-000000000001/00000000-0000-" + "ab" * 32 + "-0190163d-8694-7000-8000-000000000002"
MEDIA_KEY = "recordings/0190163d-8694-7000-8000-000000000001/media/0190163d-8694-7000-8000-00000000000a/media.webm"

# Every form of key that the server makes (docs/FORMATS.md), in byte order.
KEYS = sorted(
    [
        "chunks/0190163d-8694-7000-8000-000000000001/00000000-0000-aa-0190163d-8694-7000-8000-000000000002",
        "chunks/0190163d-8694-7000-8000-000000000001/00000001-0000-aa-0190163d-8694-7000-8000-000000000003",
        "chunks/0190163d-8694-7000-8000-00000000000f/00000000-0000-aa-0190163d-8694-7000-8000-000000000004",
        "holdfast.json",
        "packs/2026/11/23/0190163d-8694-7000-8000-000000000005.pack",
        "packs/2026/11/24/0190163d-8694-7000-8000-000000000006.pack",
        "packs/2026/12/01/0190163d-8694-7000-8000-000000000007.pack",
        "recordings/0190163d-8694-7000-8000-000000000001/certificate.json",
        "recordings/0190163d-8694-7000-8000-000000000001/deleted.json",
        "recordings/0190163d-8694-7000-8000-000000000001/media/0190163d-8694-7000-8000-00000000000a/media.json",
        "recordings/0190163d-8694-7000-8000-000000000001/media/0190163d-8694-7000-8000-00000000000a/media.webm",
        "recordings/0190163d-8694-7000-8000-000000000001/recording.json",
        "recordings/0190163d-8694-7000-8000-000000000001/titles/0190163d-8694-7000-8000-000000000008.json",
        "recordings/0190163d-8694-7000-8000-000000000009/recording.json",
        "voids/0190163d-8694-7000-8000-000000000005.json",
    ]
)


async def put_all(store: BlobStore, keys: list[str]) -> None:
    for key in keys:
        await store.put(key, key.encode())


@pytest.mark.parametrize("size", [1, 1_000, 65_536, 5 * 1024 * 1024 + 1, 8 * 1024 * 1024])
async def test_get_gives_exactly_the_bytes_of_put(blob_store: BlobStore, size: int) -> None:
    body = os.urandom(size)
    await blob_store.put(KEY, body)
    assert await blob_store.get(KEY) == body


@pytest.mark.parametrize(
    "size", [0, 1, 8 * 1024 * 1024, 20 * 1024 * 1024 + 7], ids=["empty", "tiny", "a part", "parts"]
)
async def test_get_gives_exactly_the_bytes_of_a_file(blob_store: BlobStore, tmp_path: Path, size: int) -> None:
    body = os.urandom(size)
    (tmp_path / "file").write_bytes(body)
    etag = await blob_store.put_file(MEDIA_KEY, tmp_path / "file")
    assert await blob_store.get(MEDIA_KEY) == body
    described = await blob_store.head(MEDIA_KEY)
    assert described is not None
    assert (described.size, described.etag) == (size, etag)
    if size:
        assert await blob_store.get_range(MEDIA_KEY, size - 1, 10) == body[-1:]


async def test_an_object_without_bytes_is_an_object(blob_store: BlobStore) -> None:
    await blob_store.put(KEY, b"")
    assert await blob_store.get(KEY) == b""
    described = await blob_store.head(KEY)
    assert described is not None and described.size == 0


async def test_a_body_that_a_store_might_compress_comes_back_unchanged(blob_store: BlobStore) -> None:
    body = b"the same words again and again " * 5_000
    await blob_store.put("recordings/x/recording.json", body)
    assert await blob_store.get("recordings/x/recording.json") == body
    assert await blob_store.get_range("recordings/x/recording.json", 31_000, 31) == b"the same words again and again "


async def test_put_head_and_list_name_the_same_etag_size_and_time(blob_store: BlobStore) -> None:
    etag = await blob_store.put(KEY, b"four")
    described = await blob_store.head(KEY)
    assert described is not None
    assert (described.key, described.size, described.etag) == (KEY, 4, etag)
    assert etag and '"' not in etag
    assert [(item.key, item.size, item.etag) for item in await blob_store.list_page("chunks/", "", 10)] == [
        (KEY, 4, etag)
    ]
    assert described.modified_at.tzinfo is not None
    assert abs(described.modified_at - datetime.now(UTC)) < timedelta(minutes=5)


async def test_other_bytes_have_another_etag(blob_store: BlobStore) -> None:
    assert await blob_store.put("packs/a", b"one") != await blob_store.put("packs/b", b"two")


async def test_an_absent_object_is_not_found(blob_store: BlobStore) -> None:
    with pytest.raises(BlobNotFoundError):
        await blob_store.get(KEY)
    with pytest.raises(BlobNotFoundError):
        await blob_store.get_range(KEY, 0, 1)
    assert await blob_store.head(KEY) is None


@pytest.mark.parametrize(
    ("offset", "size", "expected"),
    [(0, 1, b"0"), (0, 10, b"0123456789"), (3, 4, b"3456"), (9, 1, b"9"), (7, 100, b"789"), (10, 1, b""), (50, 5, b"")],
)
async def test_get_range_gives_what_lies_there(blob_store: BlobStore, offset: int, size: int, expected: bytes) -> None:
    await blob_store.put(KEY, b"0123456789")
    assert await blob_store.get_range(KEY, offset, size) == expected


async def test_list_page_gives_all_keys_in_byte_order(blob_store: BlobStore) -> None:
    await put_all(blob_store, list(reversed(KEYS)))
    assert [item.key for item in await blob_store.list_page("", "", LIST_PAGE_MAX)] == KEYS


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_pages_follow_one_another_without_gap_or_repeat(blob_store: BlobStore, limit: int) -> None:
    await put_all(blob_store, KEYS)
    seen: list[str] = []
    after = ""
    while page := await blob_store.list_page("", after, limit):
        assert len(page) <= limit
        seen += [item.key for item in page]
        after = seen[-1]
    assert seen == KEYS


@pytest.mark.parametrize("prefix", ["chunks/", "packs/2026/11/", "recordings/0190163d-8694-7000-8000-000000000001/"])
async def test_list_page_keeps_to_the_prefix(blob_store: BlobStore, prefix: str) -> None:
    await put_all(blob_store, KEYS)
    under = [key for key in KEYS if key.startswith(prefix)]
    assert [item.key for item in await blob_store.list_page(prefix, "", LIST_PAGE_MAX)] == under
    assert [item.key for item in await blob_store.list_page(prefix, under[0], LIST_PAGE_MAX)] == under[1:]


async def test_start_after_need_not_exist(blob_store: BlobStore) -> None:
    await put_all(blob_store, KEYS)
    after = "packs/2026/11/23/5"
    assert [item.key for item in await blob_store.list_page("", after, LIST_PAGE_MAX)] == [
        key for key in KEYS if key > after
    ]


async def test_more_keys_than_a_page_of_the_store(blob_store: BlobStore) -> None:
    keys = [f"packs/2026/11/23/{number:05d}.pack" for number in range(LIST_PAGE_MAX + 3)]
    for first in range(0, len(keys), 50):
        await asyncio.gather(*(blob_store.put(key, b"x") for key in keys[first : first + 50]))
    page = await blob_store.list_page("packs/", "", LIST_PAGE_MAX)
    rest = await blob_store.list_page("packs/", page[-1].key, LIST_PAGE_MAX)
    assert [item.key for item in (*page, *rest)] == keys
    assert len(page) == LIST_PAGE_MAX


@pytest.mark.parametrize("limit", [0, LIST_PAGE_MAX + 1])
async def test_a_page_is_bounded(blob_store: BlobStore, limit: int) -> None:
    with pytest.raises(ValueError, match="1 to 1000"):
        await blob_store.list_page("", "", limit)


async def test_an_empty_listing_is_an_empty_page(blob_store: BlobStore) -> None:
    assert await blob_store.list_page("packs/", "", 10) == []


async def test_delete_removes_the_object_and_a_repeat_is_a_success(blob_store: BlobStore) -> None:
    await blob_store.put(KEY, b"x")
    await blob_store.delete(KEY)
    await blob_store.delete(KEY)
    assert await blob_store.head(KEY) is None
    assert await blob_store.list_page("", "", 10) == []


async def test_delete_leaves_the_neighbours(blob_store: BlobStore) -> None:
    await put_all(blob_store, KEYS)
    await blob_store.delete(KEYS[3])
    await blob_store.delete(KEYS[0])
    left = [key for key in KEYS if key not in (KEYS[0], KEYS[3])]
    assert [item.key for item in await blob_store.list_page("", "", LIST_PAGE_MAX)] == left


async def test_many_puts_at_once_all_hold(blob_store: BlobStore) -> None:
    bodies = {f"packs/2026/11/23/{number:03d}.pack": os.urandom(2_000 + number) for number in range(40)}
    await asyncio.gather(*(blob_store.put(key, body) for key, body in bodies.items()))
    read = await asyncio.gather(*(blob_store.get(key) for key in bodies))
    assert dict(zip(bodies, read, strict=True)) == bodies


async def test_check_is_content_with_a_bucket(blob_store: BlobStore) -> None:
    await blob_store.check()


async def test_the_stores_clock_is_the_one_that_dates_its_objects(blob_store: BlobStore) -> None:
    before = await blob_store.read_clock()
    await blob_store.put(KEY, b"x")
    described = await blob_store.head(KEY)
    after = await blob_store.read_clock()
    # Both are told to the second.
    assert described is not None
    assert before - timedelta(seconds=1) <= described.modified_at <= after + timedelta(seconds=1)
