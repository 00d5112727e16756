"""check-certificate: proven only by exactly the bytes of a certificate that agrees with itself."""

import ast
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.merkle import hash_tree
from protocol.states import Ending
from protocol.wire import Manifest, ManifestEntry, ManifestRun
from server import certificate_proof, cli
from server.certificate_proof import CertificateError, prove, read_statement, tree_hash
from server.recordings.certificates import build_certificate
from server.storage.keys import new_uuid7

AT = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
BODIES = [b"the first chunk", b"the second", b"and the third one", b"4"]

Fields = dict[str, Any]


async def certificate_of(bodies: Sequence[bytes]) -> bytes:
    """What the server certifies for a recording of these chunks."""
    chunks = [
        ManifestEntry(run=0, chunk_index=index, size=len(body), sha256=sha256(body).hexdigest())
        for index, body in enumerate(bodies)
    ]
    manifest = Manifest(runs=[ManifestRun(run=0, mime_type="audio/webm")], chunks=chunks, ended=Ending.STOPPED)
    return await build_certificate(new_uuid7(), manifest, started_at=AT, certified_at=AT, server_version="0.1.0")


@pytest.fixture
async def certificate() -> bytes:
    return await certificate_of(BODIES)


@pytest.fixture
def folder(tmp_path: Path, certificate: bytes) -> Path:
    """certificate.json beside a folder with a file a chunk."""
    (tmp_path / "certificate.json").write_bytes(certificate)
    (tmp_path / "chunks").mkdir()
    for index, body in enumerate(BODIES):
        (tmp_path / "chunks" / f"{index:08d}").write_bytes(body)
    return tmp_path


@given(st.lists(st.binary(max_size=40), max_size=70))
def test_the_tree_of_the_rfc_is_the_server_s_tree(leaves: list[bytes]) -> None:
    assert tree_hash(leaves) == hash_tree(leaves)


@given(st.data())
async def test_any_cut_of_the_right_bytes_proves_and_any_other_bytes_do_not(data: st.DataObject) -> None:
    bodies = data.draw(st.lists(st.binary(min_size=1, max_size=30), max_size=9))
    statement = read_statement(await certificate_of(bodies))
    whole = b"".join(bodies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    pieces = [whole[first:last] for first, last in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert prove(statement, [piece for piece in pieces if piece]).holds_for(statement)

    at = data.draw(st.integers(0, len(whole)))
    changed = data.draw(st.sampled_from(["flip", "cut", "add"]))
    other = {
        "flip": whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] if at < len(whole) else whole + b"x",
        "cut": whole[:at] if at < len(whole) else whole + b"x",
        "add": whole[:at] + b"\x00" + whole[at:],
    }[changed]
    assert not prove(statement, [other] if other else []).holds_for(statement)


def change(**fields: Any) -> Callable[[Fields], None]:
    return lambda document: document.update(fields)


def change_chunk(place: int, **fields: Any) -> Callable[[Fields], None]:
    return lambda document: document["manifest"]["chunks"][place].update(fields)


TAMPERED: dict[str, Callable[[Fields], None]] = {
    "another root": change(root="0" * 64),
    "a root in capitals": lambda document: document.update(root=document["root"].upper()),
    "another count of chunks": change(chunk_count=3),
    "a count that is no number": change(chunk_count=True),
    "another count of bytes": change(byte_count=1),
    "another digest": change_chunk(1, sha256="0" * 64),
    "another size": change_chunk(1, size=11),
    "another index": change_chunk(2, chunk_index=7),
    "a run that is not listed": change_chunk(2, run=1),
    "no bytes in a chunk": change_chunk(2, size=0),
    "a chunk above the bound": change_chunk(2, size=8 * 1024 * 1024 + 1),
    "a negative size": change_chunk(2, size=-1),
    "a chunk left out": lambda document: document["manifest"]["chunks"].pop(),
    "two chunks swapped": lambda document: document["manifest"]["chunks"].reverse(),
    "a run twice": lambda document: document["manifest"]["runs"].append(document["manifest"]["runs"][0]),
    "no manifest": change(manifest=None),
    "chunks that are no list": lambda document: document["manifest"].update(chunks={}),
    "another kind of id": change(recording_id="d5d3a1f0-0000-4000-8000-000000000000"),
    "a time that a terminal obeys": change(certified_at="\x1b[2J"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_certificate_that_contradicts_itself_is_refused(certificate: bytes, what: str) -> None:
    document = json.loads(certificate)
    TAMPERED[what](document)
    with pytest.raises(CertificateError):
        read_statement(json.dumps(document).encode())


@pytest.mark.parametrize(
    "document",
    [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"root": "a", "root": "b"}', b"0" * (32 * 1024 * 1024 + 1)],
)
def test_what_is_no_certificate_is_refused_in_words(document: bytes) -> None:
    with pytest.raises(CertificateError, match=r"\w"):
        read_statement(document)


def run_word(folder: Path, *arguments: str) -> int:
    return cli.main(["check-certificate", str(folder / "certificate.json"), *arguments])


def test_the_word_proves_a_folder_of_chunks_and_one_file_of_all_bytes(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_word(folder, str(folder / "chunks")) == 0
    assert "proven" in capsys.readouterr().out
    (folder / "all").write_bytes(b"".join(BODIES))
    assert run_word(folder, str(folder / "all"), "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["is_proven"], report["chunk_count"]) == (True, 4)
    assert run_word(folder, str(folder / "all"), "--root", report["root"]) == 0


def test_the_word_names_the_damaged_chunk_and_ends_with_1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "chunks" / "00000002").write_bytes(b"and the third onf")
    assert run_word(folder, str(folder / "chunks"), "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["is_proven"], report["damaged"]) == (False, [2])
    assert run_word(folder, str(folder / "chunks")) == 1
    assert "1 of 4 chunks do not have their SHA-256\n  chunks: 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no bytes were given"),
        (["nowhere"], "nowhere: No such file"),
        (["chunks", "chunks"], "86 bytes were given, the certificate states 43"),
        (["chunks", "--root", "0" * 64], "another certificate"),
    ],
)
def test_the_word_says_why_it_is_not_proven(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert run_word(folder, *arguments) == 1
    assert said in capsys.readouterr().out


def test_the_file_runs_alone_on_another_machine(folder: Path) -> None:
    """Its source and the standard library are all it needs: no site-packages, no repository."""
    alone = folder / "certificate_proof.py"
    alone.write_bytes(Path(certificate_proof.__file__).read_bytes())
    command = [sys.executable, "-I", "-S", str(alone), str(folder / "certificate.json"), str(folder / "chunks")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=folder)
    assert (done.returncode, done.stdout[:6]) == (0, "proven"), done.stderr


def test_the_proof_shares_no_code_with_the_server() -> None:
    tree = ast.parse(Path(certificate_proof.__file__).read_text(encoding="utf-8"))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported and imported <= set(sys.stdlib_module_names)
