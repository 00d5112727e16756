"""Version 1 of the local log, byte by byte: what a released page wrote must be read by every later one.

The bytes below are never changed. A new kind of record, or a new field, adds an entry.
"""

import re
from pathlib import Path

import pytest

from client_py.core import frames, journal
from client_py.core.frames import FileKind, Frame, FrameKind, encode_file_header, read_frames
from client_py.core.journal import (
    AnyRecord,
    Cleared,
    Closed,
    Deleted,
    Noted,
    Opened,
    Piece,
    RunStarted,
    Sealed,
    Titled,
    Verified,
    decode_record,
    encode_record,
)
from client_py.core.room import BALLAST_BYTES

RECORDING_ID = "019c1c38-a400-7876-b690-8cbeb1799ab8"
DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "LOCAL_LOG.md").read_text()

RECORDS: list[tuple[AnyRecord, str]] = [
    (
        Opened(recording_id=RECORDING_ID, epoch=2, started_at_ms=1770000000000, source="microphone"),
        "f548460a0200000000000070a2c93b3185a46b696e64a66f70656e6564ac7265636f7264696e675f6964d92430313963"
        "316333382d613430302d373837362d623639302d386362656231373939616238a565706f636802ad737461727465645f"
        "61745f6d73cf0000019c1c38a400a6736f75726365aa6d6963726f70686f6e65",
    ),
    (
        RunStarted(run=1, mime_type="audio/webm;codecs=opus"),
        "f548460a0200000000000030908f043983a46b696e64a372756ea372756e01a96d696d655f74797065b6617564696f2f"
        "7765626d3b636f646563733d6f707573",
    ),
    (
        Sealed(
            chunk_index=3,
            run=1,
            size=30,
            sha256=bytes(range(32)),
            first_slice=7,
            first_offset=0,
            next_slice=8,
            next_offset=5,
            pieces=[Piece(2, 0, 48, 25), Piece(2, 1, 48, 5)],
        ),
        "f548460a0200000000000094c0f31aa68aa46b696e64a67365616c6564ab6368756e6b5f696e64657803a372756e01a4"
        "73697a651ea6736861323536c420000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1fab66"
        "697273745f736c69636507ac66697273745f6f666673657400aa6e6578745f736c69636508ab6e6578745f6f66667365"
        "7405a67069656365739294020030199402013005",
    ),
    (
        Verified(chunk_indexes=[0, 1, 3], at_ms=1770000000500),
        "f548460a020000000000003063aea0e383a46b696e64a87665726966696564ad6368756e6b5f696e6465786573930001"
        "03a561745f6d73cf0000019c1c38a5f4",
    ),
    (
        Cleared(chunk_indexes=[0, 1]),
        "f548460a020000000000001fb25918d982a46b696e64a7636c6561726564ad6368756e6b5f696e6465786573920001",
    ),
    (
        Closed(ended="stopped", at_ms=1770000001000, duration_ms=61500),
        "f548460a0200000000000039f486731784a46b696e64a6636c6f736564a5656e646564a773746f70706564a561745f6d"
        "73cf0000019c1c38a7e8ab6475726174696f6e5f6d73cdf03c",
    ),
    (
        Titled(title="Interview", is_known=False, at_ms=1770000001500),
        "f548460a0200000000000036842368ee84a46b696e64a67469746c6564a57469746c65a9496e74657276696577a86973"
        "5f6b6e6f776ec2a561745f6d73cf0000019c1c38a9dc",
    ),
    (
        Deleted(at_ms=1770000002000),
        "f548460a020000000000001d5d34ac8882a46b696e64a764656c65746564a561745f6d73cf0000019c1c38abd0",
    ),
    (
        Noted(note="damage", message="12 bytes", at_ms=1770000003000),
        "f548460a020000000000003732a5548484a46b696e64a46e6f7465a46e6f7465a664616d616765a76d657373616765a8"
        "3132206279746573a561745f6d73cf0000019c1c38afb8",
    ),
]
# Written by pages that did not know all of today's fields.
OLDER: list[tuple[AnyRecord, str]] = [
    (
        Closed(ended="stopped", at_ms=1770000001000),
        "f548460a020000000000002aead8d67683a46b696e64a6636c6f736564a5656e646564a773746f70706564a561745f6d"
        "73cf0000019c1c38a7e8",
    ),
]
SLICE = "f548460a01000010000000058048ea6600000001000000080000019c1c38a4fa68656c6c6f"


@pytest.mark.parametrize(("record", "content"), RECORDS, ids=lambda each: type(each).__name__)
def test_a_record_of_version_1_is_written_and_read_as_ever(record: AnyRecord, content: str) -> None:
    assert encode_record(RECORDING_ID, 2, record).hex() == content
    journal_file = encode_file_header(FileKind.JOURNAL) + bytes.fromhex(content)
    (frame,) = read_frames(f"{RECORDING_ID}/journal-2", journal_file)
    assert isinstance(frame, Frame) and frame.kind == FrameKind.RECORD
    assert decode_record(frame.body) == record


@pytest.mark.parametrize(("record", "content"), OLDER, ids=lambda each: type(each).__name__)
def test_a_record_of_an_older_page_is_read_as_ever(record: AnyRecord, content: str) -> None:
    journal_file = encode_file_header(FileKind.JOURNAL) + bytes.fromhex(content)
    (frame,) = read_frames(f"{RECORDING_ID}/journal-2", journal_file)
    assert isinstance(frame, Frame)
    assert decode_record(frame.body) == record


def test_every_kind_of_record_has_its_bytes_here() -> None:
    assert {type(record) for record, _ in RECORDS} == set(journal.Record.__subclasses__())


def test_a_slice_of_version_1_is_written_and_read_as_ever() -> None:
    content = journal.encode_slice(
        RECORDING_ID, 2, 1, run=1, slice_number=8, captured_at_ms=1770000000250, content=b"hello"
    )
    assert content.hex() == SLICE
    (frame,) = read_frames(f"{RECORDING_ID}/slices-2-1", encode_file_header(FileKind.SLICES) + content)
    assert isinstance(frame, Frame) and frame.kind == FrameKind.SLICE
    assert (journal.decode_slice_header(frame.header), frame.body) == ((1, 8, 1770000000250), b"hello")
    assert frame.offset == frames.FILE_HEADER_BYTES + journal.SLICE_CONTENT_OFFSET


def test_a_field_that_a_newer_page_added_is_ignored() -> None:
    newer = b"\x83\xa4kind\xa7deleted\xa5at_ms\x07\xa3why\xa7because"
    assert decode_record(newer) == Deleted(at_ms=7)


def test_the_document_names_every_kind_and_field_and_the_bounds() -> None:
    for record in journal.Record.__subclasses__():
        row = re.search(rf"^\| `{record.__struct_config__.tag}` \| (.*) \|", DOCUMENT, re.MULTILINE)
        assert row is not None, f"docs/LOCAL_LOG.md has no row for {record.__struct_config__.tag}"
        for field in record.__struct_fields__:
            assert f"`{field}`" in row[1], f"docs/LOCAL_LOG.md does not name {field} of {record.__struct_config__.tag}"
    assert all(f"`{field}`" in DOCUMENT for field in Piece.__struct_fields__)
    assert f"Version {frames.VERSION}." in DOCUMENT
    assert f"{journal.SEGMENT_BYTES >> 20} MiB" in DOCUMENT and f"{BALLAST_BYTES >> 20} MiB" in DOCUMENT
