"""`make db-shell` opens SQL on the configured database, whose password is on no command line."""

import os
import subprocess
import sys
from pathlib import Path


def test_sql_is_asked_of_the_configured_database(database_url: str, tmp_path: Path) -> None:
    environ = {**os.environ, "HOLDFAST_DATABASE_URL": database_url, "HOME": str(tmp_path), "PAGER": "cat"}
    environ.pop("XDG_CONFIG_HOME", None)  # what pgcli keeps goes into the new home
    asked = "select 'rows: ' || count(*) from recordings;\n\\q\n"
    shell = subprocess.run(
        [sys.executable, "-m", "scripts.db_shell"], input=asked, env=environ, capture_output=True, text=True, timeout=60
    )
    assert "rows: 0" in shell.stdout, shell.stderr
    assert shell.returncode == 0


def test_without_a_server_it_says_what_is_missing(tmp_path: Path) -> None:
    environ = {**os.environ, "HOLDFAST_DATA_DIR": str(tmp_path)}
    environ.pop("HOLDFAST_DATABASE_URL", None)
    shell = subprocess.run([sys.executable, "-m", "scripts.db_shell"], env=environ, capture_output=True, text=True)
    assert shell.returncode == 1
    assert str(tmp_path) in shell.stderr
