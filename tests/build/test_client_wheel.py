"""The wheel that the page runs: the same bytes from the same sources, everywhere, and nothing that it does not need."""

import base64
import hashlib
import zipfile
from pathlib import Path

from web_build.client_wheel import collect_sources, write_wheel

ROOT = Path(__file__).resolve().parents[2]
SOURCES = {"protocol/__init__.py": b"", "client_py/main.py": b"import protocol\n"}


def test_the_same_sources_give_the_same_bytes_whatever_their_order_and_age(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    one = write_wheel(SOURCES, "1.2.3", tmp_path / "one")
    other = write_wheel(dict(reversed(SOURCES.items())), "1.2.3", tmp_path / "other")
    assert one.read_bytes() == other.read_bytes()
    assert one.name == "holdfast_client-1.2.3-py3-none-any.whl"


def test_record_names_every_file_with_its_digest(tmp_path: Path) -> None:
    with zipfile.ZipFile(write_wheel(SOURCES, "1.2.3", tmp_path)) as archive:
        record = archive.read("holdfast_client-1.2.3.dist-info/RECORD").decode().splitlines()
        rows = {line.split(",")[0]: line.split(",")[1:] for line in record}
        assert sorted(rows) == sorted(archive.namelist())
        for name, (digest, size) in rows.items():
            if name.endswith("/RECORD"):
                assert (digest, size) == ("", "")
                continue
            content = archive.read(name)
            expected = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            assert (digest, size) == (f"sha256={expected}", str(len(content)))


def test_only_what_the_page_runs_goes_in() -> None:
    names = set(collect_sources(ROOT))
    assert {"protocol/wire.py", "client_py/main.py", "client_py/browser/opfs_file_tree.py"} <= names
    assert not [
        name for name in names if name.startswith(("client_py/testing/", "client_py/local/", "server/", "tests/"))
    ]
    assert not [name for name in names if "__pycache__" in name or not name.endswith(".py")]
