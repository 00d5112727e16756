"""The child process: one step of one making, with bounds on memory and processor time, dead when its server is.

Media comes from whoever records, and libav is large. What a file may break is this process, which
holds no credentials, opens no address and writes into one folder.
"""

import argparse
import ctypes
import os
import resource
import signal
import sys
import traceback
from pathlib import Path

# The exit code that means: this file, and not this machine, made the step fail.
FILE_FAILED = 70

_PR_SET_PDEATHSIG = 1
_NICEST = 19
# A second after the soft limit's SIGXCPU, whatever that met.
_HARD_LIMIT_SLACK_S = 1


def main() -> int:
    """Run one step; the exit code."""
    parser = argparse.ArgumentParser(prog="server.media.libav.child", description="Started by the server.")
    parser.add_argument("step", choices=("join", "picture", "mp4"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--parent", type=int, required=True, help="pid of the server")
    parser.add_argument("--memory", type=int, required=True, help="bytes of address space")
    parser.add_argument("--cpu", type=int, required=True, help="seconds of processor time")
    arguments = parser.parse_args()
    _bound(arguments.parent, arguments.memory, arguments.cpu)
    # After the bounds: it loads all of libav.
    from server.media.libav import steps

    try:
        steps.STEPS[arguments.step](arguments.folder)
    except OSError:
        raise  # the disk's fault, and it may pass
    except Exception:  # noqa: BLE001 - what the file brought up; the server hears it and takes the file for unplayable
        traceback.print_exc()
        return FILE_FAILED
    return 0


def _bound(parent_pid: int, memory_bytes: int, cpu_s: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
    if os.getppid() != parent_pid:
        sys.exit("the server that started this is gone already")
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + _HARD_LIMIT_SLACK_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Recording and receiving come first (I7).
    os.nice(_NICEST)


if __name__ == "__main__":
    sys.exit(main())
