"""The other words of the command line: what they print, and how they end."""

import json
import subprocess
import sys
from pathlib import Path

from tests.integration.server_process import ServerProcess, own_environ


def run(*arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """`holdfast` with these arguments and settings."""
    return subprocess.run(
        [sys.executable, "-m", "server.cli", *arguments],
        env=own_environ() | settings,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_settings_are_listed_without_secrets() -> None:
    url = "postgresql://holdfast:secret-word@127.0.0.1/holdfast"
    for form in ([], ["--json"]):
        listed = run("settings", *form, HOLDFAST_DATABASE_URL=url)
        assert listed.returncode == 0
        assert "HOLDFAST_DATABASE_URL" in listed.stdout
        assert "secret-word" not in listed.stdout
    rows = {row["variable"]: row for row in json.loads(listed.stdout)}
    assert rows["HOLDFAST_DATABASE_URL"]["is_given"] is True
    assert rows["HOLDFAST_PORT"]["value"] == "3000"


def test_migrate_says_what_it_applied_and_a_repeat_applies_nothing(server: ServerProcess) -> None:
    # The server has migrated its ledger at its start.
    again = run("migrate", "--json", HOLDFAST_DATABASE_URL=server.database_url)
    assert (again.returncode, json.loads(again.stdout)) == (0, {"applied": []})


def test_migrate_makes_the_embedded_ledger_and_stops_it_again(tmp_path: Path) -> None:
    first = run("migrate", "--json", HOLDFAST_DATA_DIR=str(tmp_path))
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout)["applied"][0]["version"] == 1
    assert not list((tmp_path / "run").glob("*.pid"))


def test_migrate_leaves_the_data_of_a_running_server_alone(server: ServerProcess) -> None:
    refused = run("migrate", HOLDFAST_DATA_DIR=str(server.data_dir))
    assert refused.returncode == 1
    assert f"another server (pid {server.pid})" in refused.stderr


def test_wrong_use_is_said_with_exit_code_2() -> None:
    assert run().returncode == 2
    assert run("sevre").returncode == 2
    wrong = run("settings", HOLDFAST_PORT="no")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("holdfast: HOLDFAST_PORT is 'no'")


def test_a_word_loads_what_it_needs_and_no_more() -> None:
    # `holdfast upload` on somebody's laptop, and every --help: neither the server nor its stores.
    command = "import sys, server.cli, client_py.local.upload_command; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True).stdout.split()
    assert {"litestar", "psycopg", "minio", "av", "prometheus_client"} & set(loaded) == set()
