"""`make dev` sees what a person changes, and nothing that the build writes."""

from pathlib import Path

import pytest

from scripts import serve_and_reload


def test_changes_are_seen_and_what_is_built_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_and_reload, "ROOT", tmp_path)
    for name in ("server/app.py", "server/old.py", "web/page.js", "web/dist/page.js", "server/x.pyc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    before = serve_and_reload.take_snapshot(["server", "web", "build_pyodide.py"])
    assert {path.name for path in before} == {"app.py", "old.py", "page.js"}
    (tmp_path / "server" / "old.py").unlink()
    (tmp_path / "server" / "new.sql").write_text("1")
    (tmp_path / "web" / "dist" / "page.js").write_text("22")
    changed = {**serve_and_reload.take_snapshot(["server", "web"])}
    changed[tmp_path / "web" / "page.js"] += 1
    assert serve_and_reload.list_changes(before, changed) == ["server/new.sql", "server/old.py", "web/page.js"]
