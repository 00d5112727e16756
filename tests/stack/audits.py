"""Audits of a real bucket and ledger as they would run when every object is past the grace period."""

import asyncio

from server.audit.auditor import Auditor
from server.audit.tally import Tally
from server.storage.blob_store import BlobStore
from server.storage.bucket_settings import BucketSettings
from server.storage.minio_blob_store import MinioBlobStore
from server.storage.postgres_audit_ledger import PostgresAuditLedger
from server.storage.postgres_ledger import PostgresLedger
from tests.server.audit.scene import ALL_ARE_OLD_S, repairs, trust


def audit_twice(database_url: str, bucket: BucketSettings) -> tuple[dict[str, int], dict[str, int]]:
    """What each of two audits, one after the other, found and repaired."""
    return asyncio.run(_audit_twice(database_url, bucket))


async def _audit_twice(database_url: str, bucket: BucketSettings) -> tuple[dict[str, int], dict[str, int]]:
    ledger = await PostgresLedger.open(database_url, pool_size=2)
    store = MinioBlobStore(bucket, threads=4)
    try:
        first, second = Tally(), Tally()
        for tally in (first, second):
            await auditor_of(ledger, store).run(tally, _go_on)
        return repairs(first), repairs(second)
    finally:
        await store.close()
        await ledger.close()


def auditor_of(ledger: PostgresLedger, store: BlobStore) -> Auditor:
    """An auditor for which every object is old enough."""
    audited = PostgresAuditLedger(ledger.connections)
    patience_s = 3_600.0
    return Auditor(
        ledger,
        audited,
        store,
        trust,
        grace_s=ALL_ARE_OLD_S,
        stalled_after_s=patience_s,
        unrecoverable_after_s=patience_s,
    )


async def _go_on(_: Tally) -> None:
    pass
