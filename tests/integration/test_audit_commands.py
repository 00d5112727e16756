"""`holdfast audit | scrub | collect | findings` beside a running server, and the audit that follows an end by force."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from server.storage.s3_client import make_client
from tests.integration.processes import wait_until
from tests.integration.sender import Sender, make_chunk
from tests.integration.server_process import ServerProcess, own_environ


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that nobody else damages."""
    with ServerProcess(tmp_path_factory.mktemp("audited") / "data", environ={"HOLDFAST_WORKERS": "2"}) as server:
        yield server


def run(server: ServerProcess, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "server.cli", *words],
        env=own_environ() | {"HOLDFAST_DATA_DIR": str(server.data_dir)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def last_audit(server: ServerProcess) -> dict[str, Any]:
    return dict(httpx.get(f"{server.base_url}/api/audit", timeout=30).json())


def test_audit_scrub_and_findings_say_the_same_as_the_server_and_end_with_1_on_harm(own_server: ServerProcess) -> None:
    sender = Sender(own_server.base_url)
    sender.register()
    body = make_chunk(1)
    assert sender.send(0, body).status_code == 201
    clean = run(own_server, "audit", "--json")
    assert clean.returncode == 0, clean.stderr
    report = json.loads(clean.stdout)
    assert (report["chunks"], report["objects"], report["missing"], report["wanted"]) == (1, 1, 0, 0)
    assert last_audit(own_server) == report
    scrubbed = run(own_server, "scrub", "--json")
    assert (scrubbed.returncode, json.loads(scrubbed.stdout)["objects"]) == (0, 1), scrubbed.stderr

    _remove_objects(own_server, _list_objects(own_server))
    lost = run(own_server, "audit")
    assert lost.returncode == 1, lost.stderr
    assert "harm was found" in lost.stdout
    (finding,) = json.loads(run(own_server, "findings", "--json", "--kind", "missing").stdout)
    assert (finding["recording_id"], finding["chunk_count"]) == (str(sender.recording_id), 1)
    assert "asked for again" in run(own_server, "findings").stdout

    assert sender.send(0, body).status_code in (200, 201)
    again = run(own_server, "audit", "--json")
    assert again.returncode == 0, again.stdout
    assert run(own_server, "findings").stdout.strip() == "0 findings"


def test_collect_waits_for_a_pass_that_another_process_runs_and_says_so(own_server: ServerProcess) -> None:
    # Given a process that runs one and falls silent
    with psycopg.connect(own_server.database_url, autocommit=True) as connection:
        connection.execute(
            "insert into passes (kind, holder, held_until, began_at, progress)"
            " values ('collect', gen_random_uuid(), now() + interval '5 seconds', now(), '')"
            " on conflict (kind) do update set holder = excluded.holder, held_until = excluded.held_until,"
            " began_at = excluded.began_at, progress = excluded.progress"
        )
    done = run(own_server, "collect", "--json")
    assert done.returncode == 0, done.stderr
    assert "another process runs it" in done.stderr
    report = json.loads(done.stdout)
    assert (report["standing"], report["held_back"]) == ("finished", {})
    assert httpx.get(f"{own_server.base_url}/api/collect", timeout=30).json() == report


def test_an_audit_follows_an_end_by_force_and_none_follows_a_clean_one(own_server: ServerProcess) -> None:
    before = last_audit(own_server)
    own_server.terminate()
    own_server.start()
    assert last_audit(own_server) == before
    own_server.kill()
    own_server.start()
    wait_until(lambda: last_audit(own_server)["began_at"] != before["began_at"], "the audit after an unclean stop")


def test_audit_starts_the_embedded_stores_where_no_server_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "server.cli", "audit", "--json"],
        env=own_environ() | {"HOLDFAST_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    # Stores that were never joined: nothing is audited until somebody says that they belong together.
    assert done.returncode == 1
    assert "store-mismatch" in done.stderr
    assert not list((tmp_path / "run").glob("*.pid"))


def _list_objects(server: ServerProcess) -> list[str]:
    """Keys of packs and of chunks of their own."""
    client, pool = make_client(server.bucket, connections=1)
    try:
        return [
            str(found.object_name)
            for prefix in ("chunks/", "packs/")
            for found in client.list_objects(server.bucket.bucket, prefix=prefix, recursive=True)
        ]
    finally:
        pool.clear()


def _remove_objects(server: ServerProcess, keys: list[str]) -> None:
    client, pool = make_client(server.bucket, connections=1)
    try:
        for key in keys:
            client.remove_object(server.bucket.bucket, key)
    finally:
        pool.clear()
