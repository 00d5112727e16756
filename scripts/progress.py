"""Runs the steps of set-up and shows that they live: what is being done, for how long, and everything when it fails."""

import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

# A person looks at a terminal; a log is spared all but a sign of life.
_TERMINAL_PERIOD_S: Final = 0.5
_LOG_PERIOD_S: Final = 15.0
_TERMINAL_LINE_CHARS_MAX: Final = 100


def say(line: str) -> None:
    """One line of progress."""
    print(f"set-up: {line}", flush=True)


def refuse(what: str, next_step: str) -> NoReturn:
    """End set-up with what was wrong and what to do."""
    print(f"\nset-up failed: {what}\n  next: {next_step}", file=sys.stderr, flush=True)
    raise SystemExit(1)


def run_step(
    label: str, command: Sequence[str | Path], *, next_step: str, cwd: Path, env: Mapping[str, str] | None = None
) -> None:
    """Run `command` to its end under `label`; its output is shown only when it fails, which ends set-up."""
    started_s = time.monotonic()
    lines: list[str] = []
    try:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd,
            env=None if env is None else dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except OSError as error:
        refuse(f"{label}: {error}", next_step)
    output = process.stdout
    assert output is not None
    reader = threading.Thread(target=lambda: lines.extend(line.rstrip() for line in output), daemon=True)
    reader.start()
    try:
        _watch(process, label, lines, started_s)
    except BaseException:
        process.terminate()
        process.wait()
        raise
    finally:
        reader.join(timeout=5)  # a daemon that the step started may hold its output open
        output.close()
    took_s = time.monotonic() - started_s
    if process.returncode != 0:
        print("\n".join(lines), file=sys.stderr)
        refuse(
            f"{label} ended with status {process.returncode} after {took_s:.0f} s (its output stands above)", next_step
        )
    say(f"{label}: done in {took_s:.0f} s")


def _watch(process: "subprocess.Popen[str]", label: str, lines: list[str], started_s: float) -> None:
    is_terminal = sys.stdout.isatty()
    period_s = _TERMINAL_PERIOD_S if is_terminal else _LOG_PERIOD_S
    say(f"{label} ...")
    while True:
        try:
            process.wait(timeout=period_s)
        except subprocess.TimeoutExpired:
            last = lines[-1].strip() if lines else ""
            sign = f"  {time.monotonic() - started_s:.0f} s  {last}"[:_TERMINAL_LINE_CHARS_MAX]
            print(f"\r\x1b[2K{sign}" if is_terminal else sign, end="" if is_terminal else "\n", flush=True)
        else:
            break
    if is_terminal:
        print("\r\x1b[2K", end="", flush=True)
