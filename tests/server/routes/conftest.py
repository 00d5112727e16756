"""The application over stores in memory, and the same over PostgreSQL and SeaweedFS."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from server import hot_route, http_protocol
from server.installation import establish_installation
from server.settings import Settings, read_settings
from server.storage.bucket_settings import BucketSettings
from server.storage.minio_blob_store import MinioBlobStore
from server.storage.postgres_ledger import PostgresLedger
from tests.server.faulty_stores import FaultyBlobStore, FaultyLedger
from tests.server.stack import Stack, running_stack


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings(
        {
            "HOLDFAST_WEB_DIR": str(tmp_path / "dist"),
            "HOLDFAST_DATA_DIR": str(tmp_path / "data"),
            "HOLDFAST_MEDIA_MAKERS": "0",  # tests of media say themselves when it is made
        }
    )


@pytest.fixture
async def memory_stack(settings: Settings) -> AsyncIterator[Stack]:
    """Over stores in memory that fail where a test tells them to."""
    ledger, store = FaultyLedger(), FaultyBlobStore()
    await establish_installation(ledger, store)
    async with running_stack(settings, ledger, store) as stack:
        yield stack


@pytest.fixture
async def real_stack(
    settings: Settings, module_database_url: str, module_bucket_settings: BucketSettings
) -> AsyncIterator[Stack]:
    """Over PostgreSQL and SeaweedFS; the module's tests share them, each with a recording of its own."""
    ledger = await PostgresLedger.open(module_database_url, pool_size=3)
    store = MinioBlobStore(module_bucket_settings, threads=6)
    assert (await establish_installation(ledger, store)).is_matched
    async with running_stack(settings, ledger, store) as stack:
        yield stack
    await store.close()
    await ledger.close()


@pytest.fixture(params=["memory", "real"])
def stack(request: pytest.FixtureRequest) -> Stack:
    """Both, one after the other: what holds over the fakes must hold over the real stores."""
    found: Stack = request.getfixturevalue(f"{request.param}_stack")
    return found


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The bodies that went the short way."""
    bodies: list[bytes] = []
    original = hot_route.take_upload

    def note(parts: Any, headers: Any, head: Any, body: bytes, answer: Any) -> None:
        bodies.append(body)
        original(parts, headers, head, body, answer)

    monkeypatch.setattr(http_protocol, "take_upload", note)
    return bodies
