"""Idle cores are kept from sleeping for as long as a measurement asks for it, and no longer."""

import struct
from pathlib import Path

import pytest

from loadtest.k6_run import LoadError
from loadtest.machine import WAKE_UP_DEVICE, cores_awake, may_keep_awake


def read_bound_us() -> int:
    """What the system grants now: the least that any open file of the device asks for."""
    with WAKE_UP_DEVICE.open("rb") as device:
        return int(struct.unpack("i", device.read(4))[0])


@pytest.mark.skipif(not may_keep_awake(), reason="this machine lets nobody keep its cores awake")
def test_the_bound_stands_for_the_length_of_the_block() -> None:
    before_us = read_bound_us()
    with cores_awake():
        assert read_bound_us() == 0
    assert read_bound_us() == before_us


def test_no_wake_up_may_take_any_time(tmp_path: Path) -> None:
    device = tmp_path / "device"
    device.touch()
    with cores_awake(device):
        assert device.read_bytes() == bytes(4)


def test_a_machine_that_has_no_such_device_says_so(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="as root"), cores_awake(tmp_path / "none" / "device"):
        pass
