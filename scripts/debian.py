"""Installs Debian packages where that is allowed: apt is there, and the user is root or has sudo without a password."""

import os
import shutil
import subprocess
from pathlib import Path

from scripts.progress import run_step


def may_install() -> bool:
    """Whether `install_packages` may be tried."""
    if shutil.which("apt-get") is None:
        return False
    if os.geteuid() == 0:
        return True
    sudo = shutil.which("sudo")
    return sudo is not None and subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0


def install_packages(*names: str, next_step: str) -> None:
    """Update apt's lists and install the packages; a failure ends set-up with `next_step`."""
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    env = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive"]
    root = Path("/")
    run_step("reading Debian's package lists", [*env, "apt-get", "update", "-q"], next_step=next_step, cwd=root)
    install = [*env, "apt-get", "install", "-q", "-y", "--no-install-recommends", *names]
    run_step(f"installing {', '.join(names)} from Debian", install, next_step=next_step, cwd=root)
