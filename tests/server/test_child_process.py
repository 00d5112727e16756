"""One service's process, with small programs in its place."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from server.services.child_process import LOGS_KEPT, ChildProcess, StopStep
from tests.integration.processes import is_alive, wait_until

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(600)
"""


def child_on(folder: Path) -> ChildProcess:
    return ChildProcess(
        "part",
        mark=folder / "store",
        run_dir=folder,
        log_dir=folder,
        stop_steps=(StopStep(signal.SIGTERM, 0.2), StopStep(signal.SIGKILL, 10.0)),
        death_signal=signal.SIGKILL,
    )


def run_python(child: ChildProcess, program: str) -> None:
    child.start([sys.executable, "-c", program, f"-dir={child.mark}"], os.environ)


def test_its_exit_code_and_its_words_are_kept(tmp_path: Path) -> None:
    child = child_on(tmp_path)
    run_python(child, "import sys; print('no space left'); sys.exit(3)")
    assert child.wait(30) == 3 and child.poll() == 3
    assert "part ended badly" in str(child.describe_failure("ended badly"))
    assert "no space left" in str(child.describe_failure("ended badly"))


def test_one_that_ignores_the_polite_signal_is_killed(tmp_path: Path) -> None:
    child = child_on(tmp_path)
    run_python(child, STUBBORN)
    wait_until(lambda: "up" in child.log_path.read_text(), "the program")
    child.stop()
    assert child.poll() == -signal.SIGKILL
    assert not (tmp_path / "part.pid").exists()
    child.stop()


def test_logs_of_earlier_starts_are_kept_and_bounded(tmp_path: Path) -> None:
    child = child_on(tmp_path)
    for number in range(LOGS_KEPT + 3):
        run_python(child, f"print({number})")
        child.wait(30)
    kept = [path.read_text().strip() for path in sorted(tmp_path.glob("part.log*"))]
    assert kept == [str(LOGS_KEPT + 2 - back) for back in range(LOGS_KEPT)]


@contextmanager
def running(mark: str) -> Iterator[subprocess.Popen[str]]:
    """A process that names `mark` in its command line and ignores SIGTERM."""
    with subprocess.Popen(
        [sys.executable, "-c", STUBBORN, f"-dir={mark}"], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "up\n"
            yield process
        finally:
            process.kill()


def test_a_leftover_is_ended_and_a_neighbour_is_not(tmp_path: Path) -> None:
    pid_path = tmp_path / "part.pid"
    with running(f"{tmp_path}/store2") as neighbour, running(f"{tmp_path}/store") as leftover:
        pid_path.write_text(str(neighbour.pid))
        assert not child_on(tmp_path).end_leftover()
        assert is_alive(neighbour.pid)
        pid_path.write_text(str(leftover.pid))
        assert child_on(tmp_path).end_leftover()
        assert not is_alive(leftover.pid)
    assert not pid_path.exists()
    assert not child_on(tmp_path).end_leftover()


@pytest.mark.parametrize("content", ["", "no number", "999999999", "-1", "0"])
def test_a_pid_file_that_says_nothing_ends_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "part.pid").write_text(content)
    assert not child_on(tmp_path).end_leftover()
    assert not (tmp_path / "part.pid").exists()


def test_a_program_that_is_not_there_is_told_in_the_log(tmp_path: Path) -> None:
    child = child_on(tmp_path)
    child.start([str(tmp_path / "nothing")], os.environ)
    assert child.wait(30) != 0
    assert "No such file" in str(child.describe_failure("did not start"))
