"""The bucket loses or spoils what was acknowledged; the client makes it good by itself."""

from e2e.machine import Machine, watch_until_saved
from e2e.service import Service

HOUR_S = 3_600


def test_a_bucket_emptied_after_the_acks_is_filled_again_by_the_client_without_anyone_noticing(
    service: Service, machine: Machine
) -> None:
    # Given a complete recording whose bytes are still kept on the device
    tab = machine.open_tab(keep_verified_s=HOUR_S, reverify_s=5)
    recording_id, take = machine.record(tab)
    watch_until_saved(tab, take, 20)
    tab.stop()
    tab.wait_for_row(recording_id, "complete")
    tab.wait(lambda: take.is_whole, "the witness to have every slice")
    before = service.stores.chunks(recording_id)
    assert tab.count("chunks-cleared") == 0

    # When the bucket is emptied
    deleted = service.stores.empty_bucket()
    assert {chunk.key for chunk in before} <= set(deleted)

    # Then, by itself, everything is sent again, to new objects that the ledger points to
    def is_filled_again() -> bool:
        after = service.stores.chunks(recording_id)
        return all(c.state == "stored" for c in after) and not {c.key for c in before} & {c.key for c in after}

    tab.wait(is_filled_again, "the ledger to point at new objects", limit_s=120)
    assert service.stores.read_recording(recording_id) == take.content
    # It was damaged while it lacked bytes, and is whole again once they were read back.
    tab.wait(lambda: service.stores.recording_state(recording_id) == "complete", "the recording to be whole again")


def test_a_bucket_emptied_while_the_page_was_closed_is_filled_again_when_it_opens(
    service: Service, machine: Machine
) -> None:
    tab = machine.open_tab(keep_verified_s=HOUR_S, reverify_s=5)
    recording_id, take = machine.record(tab)
    watch_until_saved(tab, take, 10)
    tab.stop()
    tab.wait_for_row(recording_id, "complete")
    tab.wait(lambda: take.is_whole, "the witness to have every slice")
    machine.kill_browser()

    service.stores.empty_bucket()
    machine.start_browser()
    tab = machine.open_tab(keep_verified_s=HOUR_S, reverify_s=5)

    keys = service.stores.keys
    tab.wait(lambda: keys(f"chunks/{recording_id}/") or keys("packs/"), "the bucket to be filled again", limit_s=120)
    tab.wait(lambda: {c.state for c in service.stores.chunks(recording_id)} == {"stored"}, "every row", limit_s=120)
    assert service.stores.read_recording(recording_id) == take.content
    tab.wait(lambda: service.stores.recording_state(recording_id) == "complete", "the recording to be whole again")


def test_a_byte_spoiled_in_the_bucket_before_it_was_verified_is_sent_again_and_never_certified(
    service: Service, machine: Machine
) -> None:
    # Given an acknowledged chunk that nobody has verified yet
    tab = machine.open_tab(verify_after_s=8)
    recording_id, take = machine.record(tab)
    tab.wait(lambda: service.stores.chunks(recording_id), "the first chunk to be acknowledged")
    spoiled = service.stores.chunks(recording_id)[0]
    assert tab.count("chunks-verified") == 0

    # When one of its bytes changes in the bucket
    service.stores.spoil(spoiled)
    watch_until_saved(tab, take, 10)
    tab.stop()

    # Then it is sent again, to another object, and only then certified and cleared
    tab.wait_for_row(recording_id, "complete")
    tab.wait(lambda: take.is_whole, "the witness to have every slice")
    assert service.stores.read_recording(recording_id) == take.content
    assert service.stores.chunks(recording_id)[0].key != spoiled.key
