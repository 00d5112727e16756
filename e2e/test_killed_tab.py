"""A tab dies: by SIGKILL, by reload, by being closed. What it had shown as saved reaches the bucket; nobody clicks."""

import time
from uuid import UUID

from e2e.machine import Machine, assert_kept, watch_until_saved
from e2e.network_gate import Bend, Request
from e2e.service import Service
from protocol.ids import unix_ms_of


def hold_chunks(request: Request) -> Bend:
    """Every chunk stops half-way to the server."""
    return Bend.HOLD if request.is_chunk else Bend.PASS


def test_every_slice_shown_as_saved_is_in_the_bucket_after_the_renderer_is_killed_while_recording(
    service: Service, machine: Machine
) -> None:
    # Given a recording in progress, some of it uploaded
    tab = machine.open_tab()
    recording_id, take = machine.record(tab)
    tab.wait_for_count("chunks-acknowledged", 2)
    promised = watch_until_saved(tab, take, 30)

    # When its renderer is killed, and the page is opened again
    machine.kill_tabs()
    tab = machine.open_tab()

    # Then it arrives whole, certified, and is listed as such
    tab.wait_for_row(recording_id, "complete")
    assert_kept(service.stores, recording_id, take, promised)
    assert service.stores.is_certified(recording_id)


def test_a_recording_arrives_whole_when_the_renderer_is_killed_twice_in_the_middle_of_an_upload(
    service: Service, machine: Machine
) -> None:
    # Given a finished recording whose chunks all hang half-way
    service.gate.rule = hold_chunks
    tab = machine.open_tab()
    recording_id, take = machine.record(tab)
    watch_until_saved(tab, take, 30)
    tab.stop()
    tab.wait(lambda: take.is_whole, "the witness to have every slice")
    tab.wait(lambda: service.gate.bent, "an upload to be half-way")
    assert service.stores.chunks(recording_id) == []

    # When the renderer is killed, and killed again when some chunks of the next try have arrived and others hang
    machine.kill_tabs()
    let_through = 2
    passed: list[Request] = []

    def hold_after_two(request: Request) -> Bend:
        if not request.is_chunk:
            return Bend.PASS
        if len(passed) < let_through:
            passed.append(request)
            return Bend.PASS
        return Bend.HOLD

    service.gate.bent.clear()
    service.gate.rule = hold_after_two
    tab = machine.open_tab()
    tab.wait(lambda: service.gate.bent, "the second upload to be half-way")
    tab.wait(lambda: len(service.stores.chunks(recording_id)) >= let_through, "what passed to be acknowledged")
    machine.kill_tabs()
    service.gate.back()
    tab = machine.open_tab()

    # Then every byte that MediaRecorder gave is there
    tab.wait_for_row(recording_id, "complete")
    assert service.stores.read_recording(recording_id) == take.content


def test_every_slice_shown_as_saved_is_in_the_bucket_after_a_reload_while_recording(
    service: Service, machine: Machine
) -> None:
    tab = machine.open_tab()
    recording_id, take = machine.record(tab)
    promised = watch_until_saved(tab, take, 20)

    tab.page.reload()

    tab.wait_for_row(recording_id, "complete", limit_s=120)
    assert_kept(service.stores, recording_id, take, promised)


def test_a_second_tab_leaves_a_live_recording_alone_and_brings_it_to_safety_when_the_first_is_closed(
    service: Service, machine: Machine
) -> None:
    # Given a recording in one tab and a second tab opened meanwhile
    first = machine.open_tab()
    recording_id, take = machine.record(first)
    watch_until_saved(first, take, 5)
    second = machine.open_tab()
    second.wait(lambda: recording_id in second.rows, "the second tab to list the live recording")
    saved = first.count("slices-durable")

    # Then the first goes on undisturbed, and nobody has closed its manifest
    promised = watch_until_saved(first, take, saved + 10)
    assert first.state == "recording"
    assert service.stores.recording_state(recording_id) in ("", "open")

    # When the first is closed, the second recovers it without being touched
    first.page.close()
    second.wait_for_row(recording_id, "complete")
    assert_kept(service.stores, recording_id, take, promised)


def test_two_tabs_that_record_at_once_and_die_together_both_reach_the_bucket(
    service: Service, machine: Machine
) -> None:
    tabs = [machine.open_tab(), machine.open_tab()]
    recordings = [machine.record(tab) for tab in tabs]
    promises = [
        (recording_id, take, watch_until_saved(tab, take, 10))
        for tab, (recording_id, take) in zip(tabs, recordings, strict=True)
    ]

    # When two tabs open at the same moment, they share the work
    machine.kill_tabs()
    tabs = [machine.new_tab(), machine.new_tab()]
    for tab in tabs:
        tab.visit()

    for recording_id, take, promised in promises:
        for tab in tabs:
            tab.wait_for_row(recording_id, "complete")
        assert_kept(service.stores, recording_id, take, promised)


def test_a_tab_killed_in_the_moment_of_record_or_stop_leaves_nothing_that_is_stuck(
    service: Service, machine: Machine
) -> None:
    # Given tabs that died right after Record was pressed, and right after Stop was
    began_ms = time.time_ns() // 1_000_000
    tab = machine.open_tab()
    tab.page.get_by_test_id("record").click()
    machine.kill_tabs()
    tab = machine.open_tab()
    recording_id, take = machine.record(tab)
    watch_until_saved(tab, take, 5)
    tab.page.get_by_test_id("stop").click()
    promised = watch_until_saved(tab, take, 5)
    machine.kill_tabs()

    # Then the next page brings everything to an end, and records
    tab = machine.open_tab()
    tab.wait_for_row(recording_id, "complete")  # the list may show only what the server knows at first

    def own_states() -> set[str]:
        # The list shows what other stories left there as well.
        return {state for row, state in tab.rows.items() if unix_ms_of(UUID(row)) >= began_ms}

    tab.wait(lambda: own_states() == {"complete"}, "every row of this story to be complete")
    assert_kept(service.stores, recording_id, take, promised)
    next_id, take = machine.record(tab)
    watch_until_saved(tab, take, 3)
    tab.stop()
    tab.wait_for_row(next_id, "complete")
