"""`holdfast audit | scrub | collect | findings` beside a running server, and the audit that follows an end by force."""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from server.storage.s3_client import make_client
from tests.integration.processes import wait_until
from tests.integration.sender import Sender, make_chunk
from tests.integration.server_process import ServerProcess, own_environ

LOAD_CHUNKS = 600


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


def test_a_purge_of_objects_and_rows_after_a_load_is_repaired_by_sending_again_and_the_second_audit_is_empty(
    own_server: ServerProcess,
) -> None:
    sent = {f"purge/{number}": f"the bytes of {number}" for number in range(LOAD_CHUNKS)}
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda item: _upload(own_server, *item), sent.items())) == {200}
    _audit(own_server)
    # 1 % of the objects, at least two, and 1 % of the rows.
    objects = [key for key in _list_objects(own_server) if key.startswith("packs/")]
    lost = objects[:: max(1, len(objects) // max(2, len(objects) // 100))]
    _remove_objects(own_server, lost)
    with psycopg.connect(own_server.database_url, autocommit=True) as connection:
        connection.execute(
            "delete from chunks where recording_id in (select recording_id from chunks order by sha256 limit %s)",
            (LOAD_CHUNKS // 100,),
        )
    first = _audit(own_server)
    assert first["missing"] == len(lost) and first["rerequested"] == first["wanted"] > 0
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda item: _upload(own_server, *item), sent.items())) == {200}
    second = _audit(own_server)
    assert [second[name] for name in ("missing", "orphans", "mismatched", "adopted", "rerequested", "wanted")] == [
        0
    ] * 6
    for chunk_id, data in sent.items():
        assert httpx.get(f"{own_server.base_url}/api/chunks/{chunk_id}", timeout=30).text == data


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


def _upload(server: ServerProcess, chunk_id: str, data: str) -> int:
    body = {"chunkId": chunk_id, "data": data}
    return httpx.post(f"{server.base_url}/api/chunks/upload", json=body, timeout=60).status_code


def _audit(server: ServerProcess) -> dict[str, Any]:
    """An audit that has ended."""
    answer = httpx.post(f"{server.base_url}/api/audit", timeout=60)
    if answer.status_code == 202:
        wait_until(lambda: last_audit(server)["standing"] == "finished", "the audit to end")
        return last_audit(server)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


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
