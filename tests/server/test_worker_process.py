"""A worker never outlives its supervisor, not even one that died before the worker could ask to die with it."""

import subprocess
import sys


def test_a_worker_whose_supervisor_is_gone_already_ends_at_once() -> None:
    # A pid that is not this process's, as a worker sees it whose supervisor died in between.
    command = [sys.executable, "-m", "server.worker_process", "--parent=1", "--listen=0"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stderr == "the supervisor is gone\n"
