"""A device that goes while it is recorded: what a page sees of it, in a tab that keeps its stream for that."""

from e2e.machine import Machine
from e2e.recorder_page import RecorderPage

_KEEP_THE_STREAM = """
const native = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (wanted) => (window.stream = await native(wanted));
"""
# What a page sees of an unplugged device: its tracks end, then the recorder stops by itself.
UNPLUG = (
    "() => window.stream.getTracks().forEach((track) => { track.stop(); track.dispatchEvent(new Event('ended')); })"
)


def open_keeping_the_stream(machine: Machine) -> RecorderPage:
    """A tab, ready to record, in which `UNPLUG` can be evaluated."""
    tab = machine.new_tab()
    tab.page.add_init_script(_KEEP_THE_STREAM)
    return tab.open()
