"""The contract of `MediaLedger`, over every adapter: one making counts; what is to be made follows from the rows."""

import asyncio

import pytest

from protocol.states import FindingKind
from server.storage.ledger import Ledger
from server.storage.media_ledger import MediaLedger, StoredMedia
from tests.contracts.ledger_values import complete, object_of, recording_id_of, register, row_of
from tests.server.stack import media_ledger_of

FIRST = StoredMedia(recording_id_of(101), b'{"state":"whole"}')
SECOND = StoredMedia(recording_id_of(102), b'{"state":"partial"}')


@pytest.fixture
def media_ledger(ledger: Ledger) -> MediaLedger:
    return media_ledger_of(ledger)


async def test_complete_recordings_are_to_be_made_those_certified_first_before_others(
    ledger: Ledger, media_ledger: MediaLedger
) -> None:
    await register(ledger, 9)
    for number in (3, 1, 2):
        await complete(ledger, 2, recording=number, object_number=number)
    assert await media_ledger.list_unmade(10) == [recording_id_of(number) for number in (3, 1, 2)]
    assert await media_ledger.list_unmade(2) == [recording_id_of(number) for number in (3, 1)]


async def test_one_making_counts_and_no_other(ledger: Ledger, media_ledger: MediaLedger) -> None:
    await complete(ledger, 2)
    recording_id = recording_id_of(1)
    assert await media_ledger.find_media(recording_id) is None

    decided = await asyncio.gather(*(media_ledger.decide_media(recording_id, made) for made in (FIRST, SECOND)))

    assert decided[0] == decided[1] == await media_ledger.find_media(recording_id)
    assert decided[0] in (FIRST, SECOND)
    assert await media_ledger.list_unmade(10) == []
    found = await ledger.find_recording(recording_id)
    assert found is not None and decided[0] is not None
    assert found.media == decided[0].summary
    assert (await ledger.list_recordings(before=None, limit=10))[0].media == decided[0].summary


async def test_a_forgotten_making_is_to_be_made_again(ledger: Ledger, media_ledger: MediaLedger) -> None:
    await complete(ledger, 2)
    recording_id = recording_id_of(1)
    await media_ledger.decide_media(recording_id, FIRST)
    assert not await media_ledger.forget_media(recording_id, SECOND.media_id)
    assert await media_ledger.find_media(recording_id) == FIRST
    assert await media_ledger.forget_media(recording_id, FIRST.media_id)
    assert not await media_ledger.forget_media(recording_id, FIRST.media_id)
    assert await media_ledger.list_unmade(10) == [recording_id]
    assert await media_ledger.decide_media(recording_id, SECOND) == SECOND


async def test_nothing_is_made_of_what_is_open_damaged_deleted_or_unknown(
    ledger: Ledger, media_ledger: MediaLedger
) -> None:
    await register(ledger, 1)
    await complete(ledger, 2, recording=2, object_number=2)
    await ledger.mark_wanted(object_of(2).object_id, [await row_of(ledger, 0, 2)], FindingKind.MISSING)
    await complete(ledger, 2, recording=3, object_number=3)
    await media_ledger.decide_media(recording_id_of(3), FIRST)
    await ledger.delete_recording(recording_id_of(3), b"tombstone")
    assert await media_ledger.list_unmade(10) == []
    for number in (1, 3, 4):
        assert await media_ledger.decide_media(recording_id_of(number), SECOND) is None
        assert await media_ledger.find_media(recording_id_of(number)) is None
    # What was made of one that lost bytes since is still its media.
    assert await media_ledger.decide_media(recording_id_of(2), SECOND) == SECOND


async def test_a_listing_is_bounded(media_ledger: MediaLedger) -> None:
    for limit in (0, 1_002):
        with pytest.raises(ValueError, match="1 to 1001 rows"):
            await media_ledger.list_unmade(limit)


async def test_one_at_a_time_holds_a_recording(media_ledger: MediaLedger) -> None:
    async with media_ledger.hold(recording_id_of(1)) as first:
        assert first
        async with media_ledger.hold(recording_id_of(1)) as second, media_ledger.hold(recording_id_of(2)) as other:
            assert (second, other) == (False, True)
    async with media_ledger.hold(recording_id_of(1)) as again:
        assert again
