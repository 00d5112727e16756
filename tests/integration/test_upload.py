"""`holdfast upload FILE` against a real server: killed anywhere it goes on, and the bucket holds the file exactly."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest

from e2e.network_gate import Bend, NetworkGate, Request
from e2e.stores import Stores
from protocol.limits import MIB
from tests.integration.processes import wait_until
from tests.integration.server_process import ServerProcess, find_free_port, own_environ

LIMIT_S = 120


@pytest.fixture
def gate(server: ServerProcess) -> Iterator[NetworkGate]:
    gate = NetworkGate(server.port)
    yield gate
    gate.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Nine chunks, the last one short."""
    return write_file(tmp_path / "a talk.webm", seed=1)


def write_file(path: Path, *, seed: int, size: int = 8 * MIB + 12_345) -> Path:
    path.write_bytes(random.Random(seed).randbytes(size))
    return path


class Upload:
    """The command, on a state folder that outlives it."""

    def __init__(self, state: Path, file: Path, server: str) -> None:
        self.state = state
        self.command = [sys.executable, "-m", "server.cli", "upload", str(file), "--server", server]
        self.command += ["--state-dir", str(state)]

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*self.command, *arguments],
            env=own_environ(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*self.command, *arguments], env=own_environ(), capture_output=True, text=True, check=False, timeout=LIMIT_S
        )

    def finish(self) -> dict[str, object]:
        """Run it to its good end."""
        run = self.run("--json")
        assert run.returncode == 0, run.stderr
        outcome: dict[str, object] = json.loads(run.stdout)
        return outcome

    @property
    def recording_id(self) -> str:
        """As its state names it; empty before there is one."""
        states = [json.loads(path.read_bytes()) for path in self.state.glob("*/upload.json")]
        return str(states[0]["recording_id"]) if states else ""

    def rows(self, stores: Stores) -> set[int]:
        """The chunks that the ledger holds."""
        return {row.chunk_index for row in stores.chunks(self.recording_id)} if self.recording_id else set()

    @property
    def is_log_there(self) -> bool:
        return bool(list(self.state.glob("*/log/*")))


def url_of(gate: NetworkGate) -> str:
    return f"http://127.0.0.1:{gate.port}"


def hold_after(count: int) -> Callable[[Request], Bend]:
    """Let so many chunks pass and hold the next ones half-way."""
    seen: list[str] = []

    def rule(request: Request) -> Bend:
        if not request.is_chunk:
            return Bend.PASS
        seen.append(request.path)
        return Bend.PASS if len(seen) <= count else Bend.HOLD

    return rule


def kill_while_sending(gate: NetworkGate, upload: Upload, stores: Stores, *, more_chunks: int) -> None:
    """Start it, and kill -9 when that many more chunks are acknowledged and another one is half-way."""
    expected = more_chunks + len(upload.rows(stores))
    gate.bent.clear()
    gate.rule = hold_after(more_chunks)
    process = upload.start()
    wait_until(lambda: any(bend is Bend.HOLD for bend, _ in gate.bent), "a chunk to be half-way")
    wait_until(lambda: len(upload.rows(stores)) == expected, "the chunks before it to be acknowledged")
    process.kill()
    process.communicate(timeout=LIMIT_S)
    assert process.returncode == -signal.SIGKILL
    gate.back()


def test_a_file_arrives_byte_for_byte_with_its_name_and_type(
    server: ServerProcess, stores: Stores, file: Path, tmp_path: Path
) -> None:
    upload = Upload(tmp_path / "state", file, server.base_url)
    outcome = upload.finish()
    recording_id = str(outcome["recording_id"])
    assert stores.read_recording(recording_id) == file.read_bytes()
    assert (outcome["size"], outcome["chunks"], outcome["was_there"]) == (file.stat().st_size, 9, False)
    described = httpx.get(f"{server.base_url}/api/recordings/{recording_id}", timeout=60).json()
    assert (described["title"], described["mime_type"], described["state"]) == ("a talk.webm", "video/webm", "complete")
    assert not upload.is_log_there, "what is certified takes no more room here"
    # A repeat is a success, sends nothing, and names the same recording.
    assert upload.finish() == outcome | {"was_there": True}


def test_killed_with_9_in_the_middle_it_goes_on_where_it_was(
    gate: NetworkGate, stores: Stores, file: Path, tmp_path: Path
) -> None:
    # Given an upload that is killed twice in mid-request, after three chunks and after two more
    upload = Upload(tmp_path / "state", file, url_of(gate))
    kill_while_sending(gate, upload, stores, more_chunks=3)
    kill_while_sending(gate, upload, stores, more_chunks=2)
    recording_id, acknowledged = upload.recording_id, upload.rows(stores)
    assert len(acknowledged) == 5

    # When it is started again
    gate.passed.clear()
    outcome = upload.finish()

    # Then it is the same recording, nothing that had arrived is sent again, and every byte is there once
    assert outcome["recording_id"] == recording_id
    sent = {int(request.path.rpartition("/")[2]) for request in gate.passed if request.is_chunk}
    assert sent == set(range(9)) - acknowledged
    assert stores.read_recording(recording_id) == file.read_bytes()
    assert stores.is_certified(recording_id)


def test_killed_before_the_outcome_is_noted_it_finds_the_same_recording_complete(
    gate: NetworkGate, stores: Stores, file: Path, tmp_path: Path
) -> None:
    upload = Upload(tmp_path / "state", file, url_of(gate))
    gate.rule = lambda request: Bend.LOSE_ANSWER if request.path.endswith("/complete") else Bend.PASS
    process = upload.start()
    wait_until(lambda: any(request.path.endswith("/complete") for _, request in gate.bent), "the manifest to arrive")
    process.kill()
    process.communicate(timeout=LIMIT_S)
    gate.back()
    gate.passed.clear()
    outcome = upload.finish()
    assert stores.read_recording(str(outcome["recording_id"])) == file.read_bytes()
    assert not any(request.is_chunk for request in gate.passed)


def test_a_file_that_changed_between_two_starts_becomes_another_recording_and_never_a_mixture(
    gate: NetworkGate, stores: Stores, file: Path, tmp_path: Path
) -> None:
    # Given an upload that was killed half-way, and the file changed since in its last byte
    before = file.read_bytes()
    upload = Upload(tmp_path / "state", file, url_of(gate))
    kill_while_sending(gate, upload, stores, more_chunks=3)
    first_id = upload.recording_id
    after = before[:-1] + bytes([before[-1] ^ 1])
    file.write_bytes(after)

    # When it is started again
    run = upload.run("--json")

    # Then what had been saved before is a recording of old bytes alone, and the new file another
    assert run.returncode == 0, run.stderr
    assert "changed since an upload of it was begun" in run.stderr and first_id in run.stderr
    second_id = json.loads(run.stdout)["recording_id"]
    assert second_id != first_id
    assert stores.read_recording(second_id) == after
    kept = stores.read_recording(first_id)
    assert len(kept) >= 3 * MIB and before.startswith(kept)
    assert stores.is_certified(first_id)
    assert len(list(upload.state.glob("*/upload.json"))) == 1


def test_a_server_that_is_away_is_waited_for_and_the_person_may_stop_meanwhile(
    server: ServerProcess, gate: NetworkGate, stores: Stores, file: Path, tmp_path: Path
) -> None:
    upload = Upload(tmp_path / "state", file, url_of(gate))
    gate.away()
    process = upload.start()
    wait_until(lambda: upload.is_log_there, "the file to be saved here")
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130
    assert "does not answer" in complaint
    assert "goes on where it was" in complaint
    process = upload.start("--json")
    gate.back()
    outcome, complaint = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, complaint
    assert stores.read_recording(json.loads(outcome)["recording_id"]) == file.read_bytes()


def test_two_processes_never_send_one_file_at_once(gate: NetworkGate, file: Path, tmp_path: Path) -> None:
    upload = Upload(tmp_path / "state", file, url_of(gate))
    gate.rule = hold_after(0)
    first = upload.start()
    wait_until(lambda: any(bend is Bend.HOLD for bend, _ in gate.bent), "the first to send")
    second = upload.run()
    assert second.returncode == 1
    assert "another process is sending this file" in second.stderr
    gate.back()
    first.communicate(timeout=LIMIT_S)
    assert first.returncode == 0


@contextmanager
def something_else(status: int, body: bytes, headers: dict[str, str]) -> Iterator[str]:
    """A web server that is no Holdfast."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()


def test_what_cannot_be_sent_is_said_with_what_to_do(file: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    empty = tmp_path / "empty"
    empty.touch()
    nowhere = f"http://127.0.0.1:{find_free_port()}"
    for path, server, code, words in (
        (tmp_path / "missing", nowhere, 1, "cannot be read: No such file"),
        (tmp_path, nowhere, 1, "cannot be read: Is a directory"),
        (empty, nowhere, 1, "has 0 bytes"),
        (file, "localhost:3000", 2, "expected one like http://localhost:3000"),
        (file, "ftp://localhost", 2, "is no server's address"),
    ):
        run = Upload(state, path, server).run()
        assert run.returncode == code, run.stderr
        assert run.stderr.splitlines()[-1].startswith("holdfast: ") and words in run.stderr
        assert run.stdout == ""
    with something_else(200, b"<html>Welcome", {"content-type": "text/html"}) as server:
        run = Upload(state, file, server).run()
        assert (run.returncode, "is no Holdfast server" in run.stderr) == (1, True)
    with something_else(301, b"", {"location": "https://holdfast.example/"}) as server:
        run = Upload(state, file, server).run()
        assert (run.returncode, "points to https://holdfast.example/" in run.stderr) == (1, True)


def test_a_state_folder_that_cannot_be_used_is_said(server: ServerProcess, file: Path, tmp_path: Path) -> None:
    blocked = write_file(tmp_path / "no-folder", seed=3, size=10)
    run = Upload(blocked, file, server.base_url).run()
    assert run.returncode == 1
    assert "Choose another --state-dir" in run.stderr


def test_a_newer_programs_state_is_left_as_it_is(server: ServerProcess, file: Path, tmp_path: Path) -> None:
    upload = Upload(tmp_path / "state", file, server.base_url)
    upload.finish()
    (state,) = upload.state.glob("*/upload.json")
    newer = state.read_bytes().replace(b'"version":1', b'"version":2')
    state.write_bytes(newer)
    run = upload.run()
    assert run.returncode == 1
    assert "newer holdfast" in run.stderr
    assert state.read_bytes() == newer
    # It stands in no other file's way.
    other = write_file(tmp_path / "other.webm", seed=4, size=100)
    Upload(tmp_path / "state", other, server.base_url).finish()
    assert state.read_bytes() == newer


def test_many_files_are_sent_at_once_from_one_state_folder(
    server: ServerProcess, stores: Stores, tmp_path: Path
) -> None:
    files = [write_file(tmp_path / f"{seed}.webm", seed=seed, size=100_000 + seed) for seed in range(10, 14)]
    processes = [Upload(tmp_path / "state", file, server.base_url).start("--json") for file in files]
    for file, process in zip(files, processes, strict=True):
        outcome, complaint = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 0, complaint
        assert stores.read_recording(json.loads(outcome)["recording_id"]) == file.read_bytes()


def test_an_upload_that_was_deleted_on_the_server_since_is_sent_again(
    server: ServerProcess, stores: Stores, file: Path, tmp_path: Path
) -> None:
    upload = Upload(tmp_path / "state", file, server.base_url)
    first = upload.finish()
    answer = httpx.delete(f"{server.base_url}/api/recordings/{first['recording_id']}", timeout=60)
    assert answer.status_code == 204
    second = upload.finish()
    assert second["recording_id"] != first["recording_id"]
    assert stores.read_recording(str(second["recording_id"])) == file.read_bytes()


def test_a_terminal_sees_a_bar_that_grows(server: ServerProcess, file: Path, tmp_path: Path) -> None:
    upload = Upload(tmp_path / "state", file, server.base_url)
    controller, terminal = os.openpty()
    with subprocess.Popen(
        upload.command, env=own_environ(), stdout=subprocess.DEVNULL, stderr=terminal, stdin=subprocess.DEVNULL
    ) as process:
        os.close(terminal)
        shown = b""
        while True:
            try:
                part = os.read(controller, 65536)
            except OSError:  # the other end is closed
                break
            shown += part
        assert process.wait(LIMIT_S) == 0
    os.close(controller)
    lines = shown.decode().split("\r")
    assert any(line.startswith("[") and "100 %" in line for line in lines)
    assert "[" + "#" * 30 + "]" in shown.decode()


def test_the_server_address_of_the_settings_is_the_default(server: ServerProcess, file: Path, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "server.cli", "upload", str(file), "--json"],
        env=own_environ() | {"HOLDFAST_PUBLIC_URL": server.base_url, "XDG_STATE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["server"] == server.base_url
    assert len(list((tmp_path / "holdfast" / "uploads").glob("*/upload.json"))) == 1
