"""The wheel of `protocol` and `client_py` that the page runs, with reproducible bytes.

The same sources give the same bytes on every machine: sorted names, one fixed time, stored and not
deflated (zlib's output differs between versions; the transport compresses anyway). The fakes of
client_py/testing and the adapters of client_py/local, which need CPython, stay out.
"""

import base64
import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

PACKAGES: Final = ("client_py", "protocol")
LEFT_OUT: Final = ("client_py/testing/", "client_py/local/")
DISTRIBUTION: Final = "holdfast_client"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the first moment a zip archive can name


def collect_sources(root: Path) -> dict[str, bytes]:
    """Path inside the wheel -> content of every module the page may import, sorted."""
    paths = (path for package in PACKAGES for path in (root / package).rglob("*.py"))
    names = {path.relative_to(root).as_posix(): path for path in paths}
    return {name: names[name].read_bytes() for name in sorted(names) if not name.startswith(LEFT_OUT)}


def write_wheel(sources: Mapping[str, bytes], version: str, folder: Path) -> Path:
    """Write the wheel (PEP 427) into `folder` and return its path."""
    info = f"{DISTRIBUTION}-{version}.dist-info"
    members = dict(sorted(sources.items()))
    members[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.4\nName: {DISTRIBUTION.replace('_', '-')}\nVersion: {version}\nRequires-Dist: msgspec\n"
    ).encode()
    members[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: holdfast\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    members[f"{info}/top_level.txt"] = "".join(f"{package}\n" for package in PACKAGES).encode()
    members[f"{info}/RECORD"] = _record(members, f"{info}/RECORD")
    path = folder / f"{DISTRIBUTION}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3  # Unix, wherever it is built
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return path


def _record(members: Mapping[str, bytes], own_name: str) -> bytes:
    lines = []
    for name, content in members.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(content)}\n")
    return ("".join(lines) + f"{own_name},,\n").encode()
