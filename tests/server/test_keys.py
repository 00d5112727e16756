"""Every key that the server makes is read back as what it was, and nothing else is taken for one."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.ids import loose_recording_id, make_uuid7
from server.storage.blob_store import LIST_PAGE_MAX
from server.storage.keys import (
    BucketKey,
    CertificateKey,
    ChunkKey,
    InstallationKey,
    InvalidKeyError,
    MediaKey,
    PackKey,
    ProbeKey,
    RecordingKey,
    TitleKey,
    TombstoneKey,
    VoidKey,
    chunks_prefix,
    new_uuid7,
    parse_key,
    recording_prefix,
    titles_prefix,
)
from server.storage.memory_blob_store import MemoryBlobStore

RECORDING = UUID("018bcfe5-6800-7000-8000-000000000001")  # 2023-11-14T22:13:20Z
OBJECT = UUID("018bcfe5-6801-7000-8000-0000000000ff")
DIGEST = bytes(range(32))
HEX = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

SPELLINGS: list[tuple[BucketKey, str]] = [
    (ChunkKey(RECORDING, 7, 2, DIGEST, OBJECT), f"chunks/{RECORDING}/00000007-0002-{HEX}-{OBJECT}"),
    (PackKey(OBJECT), f"packs/2023/11/14/{OBJECT}.pack"),
    (RecordingKey(RECORDING), f"recordings/{RECORDING}/recording.json"),
    (CertificateKey(RECORDING), f"recordings/{RECORDING}/certificate.json"),
    (TombstoneKey(RECORDING), f"recordings/{RECORDING}/deleted.json"),
    (TitleKey(RECORDING, OBJECT), f"recordings/{RECORDING}/titles/{OBJECT}.json"),
    (MediaKey(RECORDING, OBJECT, "media.webm"), f"recordings/{RECORDING}/media/{OBJECT}/media.webm"),
    (MediaKey(RECORDING, OBJECT, "media.json"), f"recordings/{RECORDING}/media/{OBJECT}/media.json"),
    (VoidKey(OBJECT), f"voids/{OBJECT}.json"),
    (ProbeKey(OBJECT), f"probes/{OBJECT}"),
    (InstallationKey(), "holdfast.json"),
]


@pytest.mark.parametrize(("key", "text"), SPELLINGS)
def test_a_key_is_spelled_as_the_formats_page_says_and_read_back(key: BucketKey, text: str) -> None:
    assert key.text == text
    assert parse_key(text) == key


@pytest.mark.parametrize(("key", "text"), SPELLINGS)
def test_no_other_spelling_is_a_key(key: BucketKey, text: str) -> None:
    for other in (
        text + "\n",
        " " + text,
        text + "x",
        text[:-1],
        "/" + text,
        text.upper(),
        text.replace("7000", "4000"),
    ):
        if other != text:
            with pytest.raises(InvalidKeyError):
                parse_key(other)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "packs/2023/11/15/018bcfe5-6801-7000-8000-0000000000ff.pack",  # not the day of its id
        "packs/2023/1/14/018bcfe5-6801-7000-8000-0000000000ff.pack",
        f"chunks/{RECORDING}/100000000-0000-{HEX}-{OBJECT}",
        f"chunks/{RECORDING}/\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0667-0000-{HEX}-{OBJECT}",
        f"recordings/{RECORDING}/media.json.tmp",
        f"recordings/{RECORDING}/../holdfast.json",
        "voids/not-a-uuid.json",
    ],
)
def test_a_foreign_object_is_not_taken_for_ours(text: str) -> None:
    with pytest.raises(InvalidKeyError, match="no key of this server"):
        parse_key(text)


@given(st.text(max_size=80))
def test_arbitrary_text_is_refused_and_never_fails_otherwise(text: str) -> None:
    with pytest.raises(InvalidKeyError):
        parse_key(text)


@given(
    st.integers(0, 99_999_999),
    st.integers(0, 9_999),
    st.binary(min_size=32, max_size=32),
    st.integers(0, 253402214399999),
)
def test_every_chunk_and_pack_key_is_read_back(index: int, run: int, digest: bytes, unix_ms: int) -> None:
    object_id = make_uuid7(unix_ms, bytes(10))
    for key in (ChunkKey(RECORDING, index, run, digest, object_id), PackKey(object_id)):
        assert parse_key(key.text) == key
        assert key.text.isascii()


def test_a_loose_chunk_has_no_key_of_its_own_because_the_bucket_would_not_know_its_chunk_id() -> None:
    with pytest.raises(ValueError, match="UUIDv7"):
        ChunkKey(loose_recording_id("a"), 0, 0, DIGEST, OBJECT)


@pytest.mark.parametrize(
    ("index", "run", "digest"), [(-1, 0, DIGEST), (10**8, 0, DIGEST), (0, 10**4, DIGEST), (0, 0, b"")]
)
def test_a_value_that_does_not_fit_makes_no_key(index: int, run: int, digest: bytes) -> None:
    with pytest.raises(ValueError, match="fit no key"):
        ChunkKey(RECORDING, index, run, digest, OBJECT)


def test_a_fresh_id_is_a_uuid7_of_now_and_never_the_same() -> None:
    ids = {new_uuid7() for _ in range(100)}
    assert len(ids) == 100
    assert {value.version for value in ids} == {7}


async def test_the_prefixes_list_a_recordings_objects_in_order() -> None:
    store = MemoryBlobStore()
    chunks = [ChunkKey(RECORDING, index, 0, DIGEST, OBJECT).text for index in (0, 9, 10, 1000)]
    titles = [TitleKey(RECORDING, make_uuid7(ms, bytes(10))).text for ms in (5, 40, 300)]
    for key in reversed([*chunks, *titles, RecordingKey(RECORDING).text]):
        await store.put(key, b"x")
    assert [b.key for b in await store.list_page(chunks_prefix(RECORDING), "", LIST_PAGE_MAX)] == chunks
    assert [b.key for b in await store.list_page(titles_prefix(RECORDING), "", LIST_PAGE_MAX)] == titles
    assert len(await store.list_page(recording_prefix(RECORDING), "", LIST_PAGE_MAX)) == 4
