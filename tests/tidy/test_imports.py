"""Which layer may import what (docs/ARCHITECTURE.md), held from the first day; each rule is shown to bite."""

from collections.abc import Callable
from pathlib import PurePosixPath

import pytest

from tests.tidy.import_rules import (
    BROWSER_MODULES,
    BUCKET_MODULES,
    CPYTHON_MODULES,
    DATABASE_MODULES,
    HTTP_MODULES,
    find_forbidden_imports,
    find_impurity,
    find_misnamed_adapters,
    find_sql,
    list_imports,
)
from tests.tidy.source_files import list_python, read

Rule = Callable[[str, str], list[str]]  # (source, dotted module) -> what is wrong

STORAGE_PORTS = {
    "BlobStore": "blob_store",
    "Ledger": "ledger",
    "AuditLedger": "audit_ledger",
    "MediaLedger": "media_ledger",
    "OpsLedger": "ops_ledger",
    "CollectLedger": "collect_ledger",
    "RebuildLedger": "rebuild_ledger",
}


def check_protocol(source: str, module: str) -> list[str]:
    return find_impurity(source, module, {"protocol"})


def check_core(source: str, module: str) -> list[str]:
    return find_impurity(source, module, {"protocol", "client_py.core", "client_py.messages", "client_py.ports"})


def check_no_browser(source: str, module: str) -> list[str]:
    return find_forbidden_imports(source, module, BROWSER_MODULES)


def check_browser(source: str, module: str) -> list[str]:
    return find_forbidden_imports(source, module, {"client_py.core", "client_py.runtime", "server"})


def check_client(source: str, module: str) -> list[str]:
    return find_forbidden_imports(source, module, {"server", "tests"})


def check_page_client(source: str, module: str) -> list[str]:
    return find_forbidden_imports(source, module, {"client_py.local"} | CPYTHON_MODULES)


def check_server(source: str, module: str) -> list[str]:
    return find_forbidden_imports(source, module, {"client_py.browser", "tests", "e2e", "loadtest"})


def check_routes(source: str, module: str) -> list[str]:
    return find_forbidden_imports(source, module, DATABASE_MODULES | BUCKET_MODULES) + find_sql(source)


def check_knows_no_http(source: str, module: str) -> list[str]:
    above = {"server.routes", "server.app", "server.cli"}
    return find_forbidden_imports(source, module, HTTP_MODULES | above)


def check_knows_neither_http_nor_sql(source: str, module: str) -> list[str]:
    found = check_knows_no_http(source, module)
    return found + find_forbidden_imports(source, module, DATABASE_MODULES | BUCKET_MODULES) + find_sql(source)


def check_no_libav(source: str, module: str) -> list[str]:
    return find_forbidden_imports(source, module, {"av"})


def check_storage(source: str, module: str) -> list[str]:
    above = {
        "litestar",
        "uvicorn",
        "server.routes",
        "server.ingest",
        "server.recordings",
        "server.audit",
        "server.app",
        "server.cli",
    }
    stem = module.rpartition(".")[2]
    return find_forbidden_imports(source, module, above) + find_misnamed_adapters(source, stem, STORAGE_PORTS)


# (folders it holds in, folders it does not hold in, rule)
RULES: dict[str, tuple[list[str], list[str], Rule]] = {
    "protocol does no I/O": (["protocol/"], [], check_protocol),
    "the client's core does no I/O": (["client_py/core/"], [], check_core),
    "only client_py/browser knows the browser": ([""], ["client_py/browser/"], check_no_browser),
    "client_py/browser decides nothing": (["client_py/browser/"], [], check_browser),
    "the client knows no server": (["client_py/", "protocol/"], [], check_client),
    "what the page runs needs neither CPython nor its adapters": (
        ["client_py/"],
        ["client_py/local/", "client_py/testing/"],
        check_page_client,
    ),
    "the server knows no page and no test": (["server/"], [], check_server),
    "routes hold no SQL": (["server/routes/"], [], check_routes),
    "ingest knows no HTTP and no SQL": (["server/ingest/"], [], check_knows_neither_http_nor_sql),
    "recordings knows no HTTP and no SQL": (["server/recordings/"], [], check_knows_neither_http_nor_sql),
    "media knows no HTTP and no SQL": (["server/media/"], [], check_knows_neither_http_nor_sql),
    "ops knows no HTTP and no SQL": (["server/ops/"], [], check_knows_neither_http_nor_sql),
    "libav runs in its child process only": (["server/"], ["server/media/libav/"], check_no_libav),
    "audit knows no HTTP and no SQL": (["server/audit/"], [], check_knows_neither_http_nor_sql),
    "storage is below everything and named after its technology": (["server/storage/"], [], check_storage),
}


def module_of(path: str) -> str:
    """`server/routes/__init__.py` keeps its last name, so that its relative imports are counted from the package."""
    return ".".join(PurePosixPath(path).with_suffix("").parts)


@pytest.mark.parametrize("name", RULES)
def test_every_module_keeps_the_rule(name: str) -> None:
    folders, exempt, rule = RULES[name]
    paths = [path for path in list_python() if path.startswith(tuple(folders)) and not path.startswith((*exempt, "\0"))]
    assert paths, f"{name}: no module is held to it any more"
    wrong = [f"{path}: {found}" for path in paths for found in rule(read(path), module_of(path))]
    assert not wrong, f"{name}:\n" + "\n".join(wrong)


@pytest.mark.parametrize(
    ("rule", "module", "source"),
    [
        (check_protocol, "protocol.planted", "import socket"),
        (check_protocol, "protocol.planted", "from pathlib import Path"),
        (check_protocol, "protocol.planted", "def f():\n    import os"),
        (check_protocol, "protocol.planted", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import asyncio"),
        (check_protocol, "protocol.planted", "import time"),
        (check_protocol, "protocol.planted", "import random"),
        (check_protocol, "protocol.planted", "from server.storage import ledger"),
        (check_protocol, "protocol.planted", "from collections import abc\nimport importlib"),
        (check_protocol, "protocol.planted", "open('x')"),
        (check_protocol, "protocol.planted", "import datetime\ndatetime.datetime.now()"),
        (check_protocol, "protocol.planted", "from datetime import datetime, UTC\ndatetime.now(UTC)"),
        (check_protocol, "protocol.planted", "from uuid import uuid4\nuuid4()"),
        (check_protocol, "protocol.planted", "async def wait(): ..."),
        (check_core, "client_py.core.planted", "from ..browser import opfs_file_tree"),
        (check_core, "client_py.core.planted", "from client_py import runtime"),
        (check_core, "client_py.core.planted", "import js"),
        (check_core, "client_py.core.planted", "__import__('asyncio')"),
        (check_no_browser, "client_py.runtime", "from js import navigator"),
        (check_no_browser, "client_py.main", "from pyodide.ffi import create_proxy"),
        (check_no_browser, "server.app", "import importlib\nimportlib.import_module('pyodide_js')"),
        (check_browser, "client_py.browser.planted", "from client_py.core.states import X"),
        (check_client, "client_py.planted", "import server"),
        (check_page_client, "client_py.runtime", "from client_py.local import disk_file_tree"),
        (check_page_client, "client_py.folders", "import fcntl"),
        (check_server, "server.planted", "from tests.server import fakes"),
        (check_routes, "server.routes.planted", "import psycopg"),
        (check_routes, "server.routes.planted", "from psycopg.rows import tuple_row"),
        (check_routes, "server.routes.planted", "Q = '''\nselect *\nfrom chunks'''"),
        (check_routes, "server.routes.planted", "async def f(c):\n    await c.execute(f'DELETE FROM {1}')"),
        (check_routes, "server.routes.planted", "Q = 'insert into chunks values (1)'"),
        (check_routes, "server.routes.planted", "from minio import Minio"),
        (check_knows_no_http, "server.ingest.planted", "from litestar import post"),
        (check_knows_no_http, "server.ingest.planted", "from http import HTTPStatus"),
        (check_knows_no_http, "server.ingest.planted", "from ..routes import chunks"),
        (check_knows_no_http, "server.ingest.planted", "from .. import app"),
        (check_knows_neither_http_nor_sql, "server.recordings.planted", "import starlette.requests"),
        (check_knows_neither_http_nor_sql, "server.recordings.planted", "Q = 'update recordings set title = %s'"),
        (check_no_libav, "server.media.planted", "import av"),
        (check_no_libav, "server.media.planted", "from av.error import FFmpegError"),
        (check_storage, "server.storage.planted", "from server.ingest import order"),
        (check_storage, "server.storage.bucket", "class MinioBlobStore: ..."),
        (check_storage, "server.storage.postgres_rows", "class PostgresLedger(Base): ..."),
        (check_storage, "server.storage.postgres_ledger", "class PostgresAuditLedger: ..."),
    ],
)
def test_a_planted_violation_is_found(rule: Rule, module: str, source: str) -> None:
    assert rule(source, module)


@pytest.mark.parametrize(
    ("rule", "module", "source"),
    [
        (check_protocol, "protocol.planted", "import hashlib\nfrom msgspec import Struct\nfrom protocol import ids"),
        (check_protocol, "protocol.planted", "from .ids import x\nfrom . import wire"),
        (check_core, "client_py.core.planted", "from client_py.core.states import X\nfrom .queue import Y"),
        (check_core, "client_py.core.planted", "def opened(file): return file.open_count"),
        (check_no_browser, "client_py.main", "import json\nfrom client_py.browser import web_clock"),
        (check_routes, "server.routes.planted", '"""Does not select anything from a table."""\nX = "from"'),
        (check_routes, "server.routes.planted", "X = 'Select a chunk and send it again'"),
        (check_storage, "server.storage.minio_blob_store", "class MinioBlobStore: ..."),
        (check_storage, "server.storage.ledger", "from typing import Protocol\nclass Ledger(Protocol): ..."),
        (check_storage, "server.storage.ledger", "class LedgerError(Exception): ..."),
    ],
)
def test_what_is_allowed_is_left_alone(rule: Rule, module: str, source: str) -> None:
    assert rule(source, module) == []


def test_relative_imports_are_followed_to_what_they_mean() -> None:
    source = "from . import a\nfrom .b import c\nfrom ..d import e\nfrom .. import f"
    assert [name for _, name in list_imports(source, "server.routes.chunks")] == [
        "server.routes.a",
        "server.routes.b.c",
        "server.d.e",
        "server.f",
    ]
