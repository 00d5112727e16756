"""`make dev`: the server, with new API processes whenever a source file changes, and a new page where it is concerned.

The embedded services go on running meanwhile. What only the supervisor reads (a migration, its own
modules) needs the whole server to start again: migrations do that here, its own modules by hand.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
# What the page is built of, and what only the server runs.
PAGE_SOURCES: Final = ("web", "client_py", "protocol", "web_build", "build_pyodide.py")
SERVER_SOURCES: Final = ("server", "protocol")
_SUFFIXES: Final = (".py", ".js", ".mjs", ".css", ".html", ".sql", ".svg")
_POLL_S: Final = 0.5
_STOP_S_MAX: Final = 30

Snapshot = dict[Path, int]  # modification time in nanoseconds of each source file


def take_snapshot(sources: Iterable[str]) -> Snapshot:
    """The present state of the sources; what is built (web/dist) does not count."""
    found: Snapshot = {}
    for source in sources:
        top = ROOT / source
        for path in [top] if top.is_file() else top.rglob("*"):
            if path.suffix in _SUFFIXES and "dist" not in path.relative_to(ROOT).parts:
                try:
                    found[path] = path.stat().st_mtime_ns
                except FileNotFoundError:
                    continue  # an editor is replacing it; the next look sees it
    return found


def list_changes(before: Snapshot, after: Snapshot) -> list[str]:
    """Paths that are new, gone or written since, from the project's root."""
    return sorted(str(path.relative_to(ROOT)) for path in before | after if before.get(path) != after.get(path))


def start_server() -> "subprocess.Popen[bytes]":
    """`holdfast serve` with this environment."""
    return subprocess.Popen([Path(sys.executable).parent / "holdfast", "serve"], cwd=ROOT)


def stop_server(server: "subprocess.Popen[bytes]") -> None:
    """A clean stop, a hard one where it takes too long."""
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(_STOP_S_MAX)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def reload_server(server: "subprocess.Popen[bytes]", changes: Iterable[str]) -> "subprocess.Popen[bytes]":
    """The server with the changed files in use."""
    if server.poll() is None and not any(path.endswith(".sql") for path in changes):
        server.send_signal(signal.SIGUSR1)
        return server
    stop_server(server)
    return start_server()


def build_page() -> bool:
    """Whether the page is up to date now; a failed build says why and leaves the former page."""
    return subprocess.run([sys.executable, "build_pyodide.py"], cwd=ROOT, check=False).returncode == 0


def watch() -> None:
    """Serve and start again until interrupted."""
    page, server_files = take_snapshot(PAGE_SOURCES), take_snapshot(SERVER_SOURCES)
    server = start_server()
    try:
        while True:
            time.sleep(_POLL_S)
            page_now, server_now = take_snapshot(PAGE_SOURCES), take_snapshot(SERVER_SOURCES)
            page_changes, server_changes = list_changes(page, page_now), list_changes(server_files, server_now)
            page, server_files = page_now, server_now
            if not page_changes and not server_changes:
                continue
            print(f"dev: changed: {', '.join(sorted({*page_changes, *server_changes}))}", flush=True)
            if page_changes:
                build_page()
            server = reload_server(server, server_changes)
    finally:
        stop_server(server)


def main() -> int:
    """Run until Ctrl-C or SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    try:
        watch()
    except KeyboardInterrupt:
        print("dev: stopped")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
