"""Becomes a service's process: runs as `python launch_child.py JSON`, arranges its end and its user, then execs.

It is a program of its own because what it does must happen between fork and exec, and running Python
there in a process that has threads can deadlock. It imports the standard library only.

The JSON: `argv`, `parent` (pid), `death_signal` (sent when the parent's main thread ends), `user` and
`group` (ids, or null to keep), `capability` (its number, kept across the change of user, or null).
"""

import ctypes
import json
import os
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAPABILITY_VERSION_3 = 0x20080522


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapabilityData(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def main() -> None:
    """Never returns."""
    order = json.loads(sys.argv[1])
    is_linux = sys.platform == "linux"
    libc = ctypes.CDLL(None, use_errno=True) if is_linux else None
    capability: int | None = order["capability"] if is_linux else None
    if libc is not None and capability is not None:
        _prctl(libc, _PR_SET_KEEPCAPS, 1)
    if order["user"] is not None:
        os.setgroups([])
        os.setgid(order["group"])
        os.setuid(order["user"])
    if libc is not None and capability is not None:
        _keep_capability(libc, capability)
    if libc is not None:
        # After the change of user, which would clear it.
        _prctl(libc, _PR_SET_PDEATHSIG, order["death_signal"])
    if os.getppid() != order["parent"]:
        sys.exit("the server that started this service is gone already")
    os.execv(order["argv"][0], order["argv"])  # noqa: S606 - the argv is the server's own


def _keep_capability(libc: ctypes.CDLL, capability: int) -> None:
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    data = (_CapabilityData * 2)()
    mask = 1 << (capability % 32)
    word = data[capability // 32]
    word.effective = word.permitted = word.inheritable = mask
    if libc.capset(ctypes.byref(header), ctypes.byref(data)) != 0:
        raise OSError(ctypes.get_errno(), "capset")
    _prctl(libc, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0)


def _prctl(libc: ctypes.CDLL, option: int, *arguments: int) -> None:
    if libc.prctl(option, *map(ctypes.c_ulong, arguments)) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")


if __name__ == "__main__":
    main()
