"""The order of a start: first Record is possible, then what lies on the device is taken up."""

from client_py.core import effects as ef
from client_py.core import events as ev
from client_py.core.client import Client
from client_py.messages import Boot, CaptureLockHeld, ListMore, Settings

RECORDING_ID = "019c1c38-a400-7000-8000-000000000001"


class Start:
    """A core that has just been booted."""

    def __init__(self, live_id: str | None = None) -> None:
        self.client = Client()
        boot = Boot(epoch=1, settings=Settings(), formats=[], is_online=True, live_recording_id=live_id)
        self.kinds_of_boot = self.kinds_after(ev.WindowSaid(message=boot))

    def kinds_after(self, event: ev.Event, now_ms: int = 0) -> set[type[ef.Effect]]:
        """The kinds of effect that follow at once."""
        return {type(effect) for effect in self.client.handle(event, ev.Moment(now_ms, 1_770_000_000_000, 0.5))}


def test_record_is_possible_before_what_lies_here_is_read() -> None:
    start = Start()
    assert ef.MakeRecordingId in start.kinds_of_boot
    assert ef.ListFolders not in start.kinds_after(ev.StorageProbed(is_persistent=True))
    start.kinds_after(ev.RecordingIdMade(recording_id=RECORDING_ID))
    kinds = start.kinds_after(ev.WindowSaid(message=CaptureLockHeld(recording_id=RECORDING_ID)))
    assert ef.OpenEpoch in kinds and ef.ListFolders not in kinds
    assert ef.ListFolders in start.kinds_after(ev.EpochOpened(recording_id=RECORDING_ID, epoch=1))


def test_the_lock_may_come_before_the_storage_is_proved_the_folder_may_not() -> None:
    start = Start()
    start.kinds_after(ev.RecordingIdMade(recording_id=RECORDING_ID))
    locked = ev.WindowSaid(message=CaptureLockHeld(recording_id=RECORDING_ID))
    assert ef.OpenEpoch not in start.kinds_after(locked)
    unusable = ev.StorageUnusable(is_full=False, message="no")
    assert ef.OpenEpoch not in start.kinds_after(unusable)
    assert ef.OpenEpoch in start.kinds_after(ev.StorageProbed(is_persistent=True), 6_000)


def test_the_server_is_asked_nothing_until_record_is_possible() -> None:
    start = Start()
    assert ef.SendRequest not in start.kinds_after(ev.WindowSaid(message=ListMore()))
    start.kinds_after(ev.StorageProbed(is_persistent=True))
    start.kinds_after(ev.RecordingIdMade(recording_id=RECORDING_ID))
    start.kinds_after(ev.WindowSaid(message=CaptureLockHeld(recording_id=RECORDING_ID)))
    assert ef.SendRequest in start.kinds_after(ev.EpochOpened(recording_id=RECORDING_ID, epoch=1))


def test_the_server_is_asked_although_nothing_can_be_kept_here() -> None:
    start = Start()
    start.kinds_after(ev.WindowSaid(message=ListMore()))
    assert ef.SendRequest in start.kinds_after(ev.StorageUnusable(is_full=False, message="no"))


def test_what_lies_here_is_read_although_no_folder_can_be_made() -> None:
    start = Start()
    start.kinds_after(ev.StorageProbed(is_persistent=True))
    start.kinds_after(ev.RecordingIdMade(recording_id=RECORDING_ID))
    start.kinds_after(ev.WindowSaid(message=CaptureLockHeld(recording_id=RECORDING_ID)))
    refused = ev.EpochRefused(recording_id=RECORDING_ID, epoch=1, is_full=False, message="no")
    assert ef.ListFolders in start.kinds_after(refused)


def test_what_lies_here_is_read_although_the_windows_lock_never_comes() -> None:
    start = Start()
    start.kinds_after(ev.StorageProbed(is_persistent=True))
    assert ef.ListFolders not in start.kinds_after(ev.Ticked(), 1_000)
    assert ef.ListFolders in start.kinds_after(ev.Ticked(), 3_000)


def test_what_the_window_captures_is_taken_up_before_anything_else() -> None:
    start = Start(live_id=RECORDING_ID)
    kinds = start.kinds_after(ev.StorageProbed(is_persistent=True))
    assert {ef.AdoptFolder, ef.ListFolders} <= kinds
    assert ef.MakeRecordingId not in start.kinds_of_boot | kinds
