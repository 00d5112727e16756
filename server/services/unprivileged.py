"""Running a service that refuses root, when the server is root (as in most containers).

The service gets another user that owns its data. Where a folder above its data or its program is
closed to that user (root's home is), it keeps one capability to pass through, instead of us opening
folders that are not ours to open.
"""

import os
import pwd
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from server.services.child_process import RunAs
from server.services.errors import EmbeddedServiceError

# Tried in this order; containers usually keep the second one only (linux/capability.h).
_CAP_DAC_READ_SEARCH: Final = 2
_CAP_DAC_OVERRIDE: Final = 1
# The first that exists is used; a system's own PostgreSQL user is the best fit.
_USER_NAMES: Final = ("postgres", "nobody")


def choose_user(data_dir: Path, programs: Path) -> RunAs:
    """Whom to run as: ourselves, or, when we are root, the owner of `data_dir` or a user without rights."""
    if os.geteuid() != 0:
        return RunAs()
    user, group = _owner_of(data_dir) or _find_user()
    if all(_may_pass(path, user, group) for path in (*data_dir.parents, programs, *programs.parents)):
        return RunAs(user, group)
    return RunAs(user, group, _find_capability(data_dir))


def give_to(run_as: RunAs, paths: Iterable[Path]) -> None:
    """Make the user the owner of files and folders that we made."""
    if run_as.user is not None and run_as.group is not None:
        for path in paths:
            os.chown(path, run_as.user, run_as.group)


def _owner_of(data_dir: Path) -> tuple[int, int] | None:
    try:
        status = data_dir.stat()
    except FileNotFoundError:
        return None
    return (status.st_uid, status.st_gid) if status.st_uid != 0 else None


def _find_user() -> tuple[int, int]:
    for name in _USER_NAMES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise EmbeddedServiceError(
        "PostgreSQL refuses to run as root, and this system has neither a user postgres nor nobody: "
        "run the server as another user, or set HOLDFAST_DATABASE_URL"
    )


def _may_pass(path: Path, user: int, group: int) -> bool:
    try:
        status = path.stat()
    except FileNotFoundError:
        return True  # we make it, and give it away
    if status.st_uid == user:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == group:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def _find_capability(data_dir: Path) -> int:
    effective = _effective_capabilities()
    for capability in (_CAP_DAC_READ_SEARCH, _CAP_DAC_OVERRIDE):
        if effective >> capability & 1:
            return capability
    raise EmbeddedServiceError(
        f"PostgreSQL refuses to run as root, and another user may not pass to {data_dir}: "
        "set HOLDFAST_DATA_DIR to a folder below which every user may pass, or run the server as another user"
    )


def _effective_capabilities() -> int:
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("CapEff:"):
                return int(line.split()[1], 16)
    except FileNotFoundError:
        return 0  # no Linux, no capabilities
    return 0
