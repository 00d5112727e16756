"""assignment.js is the assignment's workload, and loadtest/workload.py knows exactly what it sends."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from loadtest.workload import DATA_BYTES, Run, expected_body, read_other_statuses, recording_id_of
from protocol.ids import loose_recording_id
from tests.loadtest.conftest import REFUSED, Witness

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = ROOT / "loadtest" / "assignment.js"


def test_k6_sends_what_the_audit_expects(witness: Witness, tmp_path: Path) -> None:
    k6 = shutil.which("k6", path=str(Path(sys.executable).parent))
    assert k6, "k6 is one of requirements/test.txt"
    console, summary = tmp_path / "k6.log", tmp_path / "summary.json"
    settings = {"RUN": "r", "RATE": "20", "DURATION": "1s", "BASE_URL": f"http://127.0.0.1:{witness.server_port}"}
    environment = [argument for name, value in settings.items() for argument in ("-e", f"{name}={value}")]
    files = ["--console-output", str(console), "--summary-export", str(summary)]
    subprocess.run([k6, "run", "--no-usage-report", "-q", *environment, *files, str(SCRIPT)], check=True, timeout=120)

    sent = json.loads(summary.read_text())["metrics"]["iterations"]["count"]
    run = Run("r", sent, read_other_statuses(console))
    assert sent >= 20
    assert run.other_statuses == dict.fromkeys(REFUSED, 503)
    assert {path for path, _ in witness.bodies} == {"/api/chunks/upload"}
    received = {body["chunkId"]: body["data"] for body in map(json.loads, (body for _, body in witness.bodies))}
    assert received == {run.chunk_id(n): expected_body("r", n).decode() for n in range(sent)}
    assert len(witness.bodies) == sent


@pytest.mark.parametrize("n", [0, 1, 31, 299_999])
def test_every_chunk_has_1024_bytes_of_its_own(n: int) -> None:
    body = expected_body("run1795489445000", n)
    assert len(body) == DATA_BYTES
    assert body.startswith(f"run1795489445000-{n}:".encode())
    assert body != expected_body("run1795489445000", n + 1)


def test_the_audits_own_reading_of_the_ids_is_the_protocols() -> None:
    for chunk_id in ("r-0", "run1-299999", "~!"):
        assert recording_id_of(chunk_id) == loose_recording_id(chunk_id)


def test_the_workload_is_the_assignments() -> None:
    script = SCRIPT.read_text()
    for option in (
        'executor: "constant-arrival-rate"',
        "rate: Number(__ENV.RATE || 5000)",
        'timeUnit: "1s"',
        'duration: __ENV.DURATION || "60s"',
        "preAllocatedVUs: 500",
        '"http://localhost:3000"}/api/chunks/upload',
        '"status 200": (r) => r.status === 200',
    ):
        assert option in script
    assert set(re.findall(r"__ENV\.(\w+)", script)) == {"RATE", "DURATION", "BASE_URL", "RUN"}


def test_the_audit_shares_no_code_with_what_it_audits() -> None:
    for name in ("check_bytes", "bucket_contents", "workload"):
        imports = re.findall(r"^(?:from|import) (\w+)", (ROOT / "loadtest" / f"{name}.py").read_text(), re.MULTILINE)
        assert not {"server", "protocol", "client_py", "tests"} & set(imports)
