"""Lays out web/dist: everything the page needs, self-hosted, each folder named by the hash of its content.

    index.html            names the hashed folders and every file's digest
    service_worker.js     keeps exactly these files for use without a network; it must stand at the root
    ops.html              the operator's page, with a folder of its own (web_build/ops_site.py)
    build.json            the build manifest (`BuildManifest`)
    assets/page-<hash>/       the page's script, its style sheet and its worker, one file each, and its icons
    assets/runtime-<hash>/    Pyodide, its standard library compiled (web_build/compiled_library.py)
    assets/packages-<hash>/   the wheels of the frozen lock
    assets/snapshot-<hash>/   the memory snapshot that a page starts from once it is kept, with its loader

A file under assets/ never changes its bytes, so it may be cached for ever. Larger ones have `.br` and
`.gz` variants beside them.
"""

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from web_build.pinned_files import sha256_of
from web_build.refusal import BuildError
from web_build.snapshot import EXTENSION_NAME, LOADER, MEMORY_NAME, Snapshot

RUNTIME_FILES: Final = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
PAGE_BUNDLES: Final = ("page.js", "page.css", "worker.js")
SERVICE_WORKER: Final = "service_worker.js"
_MARKER: Final = "<!-- build: the runtime's addresses and every file's digest are written here -->"
_SERVICE_WORKER_MARKER: Final = (
    'const BUILD = null; // build: {name, files: digest by path, the index under ""} is written here'
)
_REFERENCE = re.compile(r'(?P<attribute>href|src)="(?P<name>[^":#?]+)"')
# The types are named here because a wrong one breaks the page: WebAssembly compiles while it
# arrives only as application/wasm, and a module runs only as JavaScript.
MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".memory": "application/octet-stream",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".whl": "application/zip",
    ".zip": "application/zip",
}


class BuiltFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of web/dist: `path` relative to it, `size` in bytes, `encodings` for which a variant lies beside it."""

    path: str
    size: int
    sha256: str
    media_type: str
    encodings: dict[str, int] = {}  # "br" and "gzip" -> bytes of `path + ".br"` and `path + ".gz"`


class BuildManifest(msgspec.Struct, frozen=True, kw_only=True):
    """web/dist/build.json. `build` names the set of files; it changes when any of them does."""

    build: str
    files: list[BuiltFile]


def lay_out(
    site: Path,
    *,
    web: Path,
    bundles: Mapping[str, Path],
    runtime: Mapping[str, Path],
    wheels: Mapping[str, Path],
    lock: Mapping[str, Any],
    snapshot: Snapshot | None = None,
) -> list[Path]:
    """Fill the folder `site`, which holds the operator's page or nothing; return the paths in it, relative to it.

    `bundles` are by name (web_build/bundle.py), `wheels` by file name, and `lock` is the one whose `file_name`s they
    are. Raises `BuildError`.
    """
    if not (web / SERVICE_WORKER).is_file():
        raise BuildError(
            f"web/{SERVICE_WORKER} is missing.", next_step=f"git checkout web/{SERVICE_WORKER}, then make build"
        )
    installed = {path.relative_to(web).as_posix(): path for path in (*web.glob("icons/*"), *web.glob("*.webmanifest"))}
    page = copy_folder(site, "page", {name: bundles[name] for name in PAGE_BUNDLES} | installed)
    runtime_folder = copy_folder(site, "runtime", {name: runtime[name] for name in RUNTIME_FILES})
    packages = copy_folder(site, "packages", wheels)
    start = {MEMORY_NAME: snapshot.memory, EXTENSION_NAME: snapshot.extension, LOADER.name: LOADER} if snapshot else {}
    memory = copy_folder(site, "snapshot", start)
    source = (web / "index.html").read_text()
    # Everything else that index.html will hold follows from the folders' names, which follow from their content.
    name = hashlib.sha256("\n".join([page, runtime_folder, packages, memory, source]).encode()).hexdigest()[:16]
    boot = {
        "name": name,
        "worker": f"{page}/worker.js",
        "runtime": f"{runtime_folder}/",
        "packages": f"{packages}/",
        "lock": lock,
        "files": _describe_for_boot(site, page, runtime_folder, packages),
        # Not among the files, because a page starts without it where it would take too long.
        "snapshot": {"folder": f"{memory}/", "link": snapshot.link, "files": _describe_for_boot(site, memory)}
        if snapshot
        else None,
    }
    (site / "index.html").write_text(_write_index(source, site, page, boot))
    (site / SERVICE_WORKER).write_text(_write_service_worker((web / SERVICE_WORKER).read_text(), site, boot))
    return sorted(path.relative_to(site) for path in site.rglob("*") if path.is_file())


def write_manifest(site: Path, files: list[Path], variants: Mapping[str, Mapping[str, int]]) -> BuildManifest:
    """Describe `files` (with the sizes of their compressed `variants`) in build.json."""
    built = []
    for path in files:
        name = path.as_posix()
        if path.suffix not in MEDIA_TYPES:
            raise BuildError(f"{name} has no media type.", next_step="add its suffix to web_build/site.py")
        absolute = site / path
        built.append(
            BuiltFile(
                path=name,
                size=absolute.stat().st_size,
                sha256=sha256_of(absolute),
                media_type=MEDIA_TYPES[path.suffix],
                encodings=dict(variants.get(name, {})),
            )
        )
    build = hashlib.sha256("".join(f"{file.path} {file.sha256}\n" for file in built).encode()).hexdigest()[:16]
    manifest = BuildManifest(build=build, files=built)
    (site / "build.json").write_bytes(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
    return manifest


def copy_folder(site: Path, kind: str, sources: Mapping[str, Path]) -> str:
    """Copy under assets/<kind>-<hash>/ and return that folder relative to the site."""
    listing = "".join(f"{name} {sha256_of(sources[name])}\n" for name in sorted(sources))
    folder = f"assets/{kind}-{hashlib.sha256(listing.encode()).hexdigest()[:16]}"
    for name, source in sources.items():
        target = site / folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        target.chmod(0o644)
    return folder


def _describe_for_boot(site: Path, *folders: str) -> dict[str, dict[str, Any]]:
    paths = [path for folder in folders for path in sorted((site / folder).rglob("*")) if path.is_file()]
    return {
        path.relative_to(site).as_posix(): {"size": path.stat().st_size, "integrity": integrity_of(path)}
        for path in paths
    }


def integrity_of(path: Path) -> str:
    """The file's digest as Subresource Integrity writes it (W3C SRI, section 3)."""
    return "sha256-" + base64.b64encode(bytes.fromhex(sha256_of(path))).decode()


def write_references(source: str, site: Path, folder: str, *, origin: str) -> str:
    """The HTML of `origin` with the hashed address of each file that it names, scripts and styles with their digest.

    Raises `BuildError` for a name that `folder` does not hold.
    """

    def rewrite(match: re.Match[str]) -> str:
        name = match["name"]
        if not (site / folder / name).is_file():
            raise BuildError(
                f"{origin} refers to {name}, which its folder does not hold.",
                next_step=f"correct the name in {origin}, then make build",
            )
        hashed = f'{match["attribute"]}="{folder}/{name}"'
        is_checked = name.endswith((".css", ".js"))
        return f'{hashed} integrity="{integrity_of(site / folder / name)}"' if is_checked else hashed

    return _REFERENCE.sub(rewrite, source)


def _write_index(source: str, site: Path, page: str, boot: Mapping[str, Any]) -> str:
    """index.html with hashed addresses and digests; the boot description stands in it as a data block."""
    if _MARKER not in source:
        raise BuildError(f"web/index.html has lost its line {_MARKER}", next_step="put it back into <head>")
    # "<" is escaped so that no value can end the element.
    data = json.dumps(boot, sort_keys=True, separators=(",", ":")).replace("<", "\\u003c")
    block = f'<script type="application/json" id="build">{data}</script>'
    return write_references(source, site, page, origin="web/index.html").replace(_MARKER, block)


def _write_service_worker(source: str, site: Path, boot: Mapping[str, Any]) -> str:
    """The service worker with its build's name and the digest of every file, index.html under the empty path."""
    if _SERVICE_WORKER_MARKER not in source:
        raise BuildError(
            f"web/{SERVICE_WORKER} has lost its line {_SERVICE_WORKER_MARKER}", next_step="put it back at its head"
        )
    names = [*boot["files"], *(boot["snapshot"] or {"files": ()})["files"]]
    files = {"": integrity_of(site / "index.html")} | {name: integrity_of(site / name) for name in names}
    build = json.dumps({"name": boot["name"], "files": files}, indent=2)
    return source.replace(_SERVICE_WORKER_MARKER, f"const BUILD = {build};")
