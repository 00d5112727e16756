"""One bucket and one ledger belong together: both hold the same installation id.

A server that met an emptied ledger or another bucket would answer `unknown` and `missing` for
everything it ever acknowledged, and a clean-up would then finish the loss. So where one side lacks
the id or the two differ, nothing is ingested, verified or repaired (`store-mismatch`) until somebody
rebuilds the ledger or adopts the bucket explicitly. The id is written by itself only where neither
side holds anything.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct

from server.storage.blob_store import BlobNotFoundError, BlobStore
from server.storage.keys import PROBES_PREFIX, InstallationKey, ProbeKey, new_uuid7
from server.storage.ledger import Installation, Ledger

_KEY: Final = InstallationKey().text

_log = logging.getLogger(__name__)

# Enough to see past the few probes that may lie about.
_LOOK_AT_KEYS: Final = 100

_REBUILD: Final = "`holdfast rebuild-ledger` fills the ledger from the bucket"
_ADOPT: Final = "`holdfast serve --adopt-bucket` joins the two as they are"


class InstallationDocument(Struct, frozen=True, kw_only=True):
    """`holdfast.json`."""

    installation_id: UUID


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether bucket and ledger belong together; if not, what is wrong and what to run."""

    is_matched: bool
    detail: str = ""
    next_step: str = ""


MATCHED: Final = Verdict(is_matched=True)


@dataclass(frozen=True, slots=True)
class _Sides:
    """What both sides say. `bucket_flaw` is set where holdfast.json cannot be read."""

    bucket_id: UUID | None
    bucket_flaw: str
    ledger: Installation

    def judge(self) -> Verdict:
        ledger_id = self.ledger.installation_id
        if self.bucket_flaw:
            return _mismatch(self.bucket_flaw, f"Restore {_KEY} from a backup, or check the bucket's name.")
        if self.bucket_id is None and ledger_id is None:
            return _mismatch(
                "neither bucket nor ledger holds an installation id, and they are not both empty",
                f"Check that HOLDFAST_S3_BUCKET and HOLDFAST_DATABASE_URL are the ones meant; then {_ADOPT}.",
            )
        if self.bucket_id is None:
            return _mismatch(
                f"the ledger belongs to installation {ledger_id}, the bucket holds no {_KEY}: "
                "it is another bucket, or it was emptied",
                f"Set HOLDFAST_S3_BUCKET to the right one; if this is the one, {_ADOPT}, "
                "and clients send again what they still hold.",
            )
        if ledger_id is None:
            return _mismatch(
                f"the bucket belongs to installation {self.bucket_id}, the ledger holds no id: "
                "it is another database, or it was emptied",
                f"Set HOLDFAST_DATABASE_URL to the right one; if this is the one, {_REBUILD}. ({_ADOPT}.)",
            )
        if self.bucket_id != ledger_id:
            return _mismatch(
                f"the bucket belongs to installation {self.bucket_id}, the ledger to {ledger_id}",
                "Set HOLDFAST_S3_BUCKET or HOLDFAST_DATABASE_URL to the ones that belong together; "
                f"with an empty database {_REBUILD}.",
            )
        return MATCHED


async def compare_installation(ledger: Ledger, store: BlobStore) -> Verdict:
    """Read both ids and change nothing. Raises `BlobStoreError` or `LedgerError`."""
    return (await _read_sides(ledger, store)).judge()


async def find_contradiction(ledger: Ledger, store: BlobStore) -> Verdict | None:
    """What no rebuild may begin with: an unreadable id, or two that differ. Raises `BlobStoreError`, `LedgerError`."""
    sides = await _read_sides(ledger, store)
    ids = {sides.bucket_id, sides.ledger.installation_id} - {None}
    return sides.judge() if sides.bucket_flaw or len(ids) > 1 else None


async def establish_installation(
    ledger: Ledger, store: BlobStore, *, adopts_bucket: bool = False, new_id: Callable[[], UUID] = new_uuid7
) -> Verdict:
    """As `compare_installation`, after writing a missing id where that is safe or explicitly asked for.

    Safe: the ledger holds no row and the bucket no object besides the id. The ledger's id comes first,
    because its insert lets only one of several servers decide; a crash in between leaves what the next
    call completes.
    """
    sides = await _read_sides(ledger, store)
    verdict = sides.judge()
    if verdict.is_matched or sides.bucket_flaw or None not in (sides.bucket_id, sides.ledger.installation_id):
        return verdict
    if not adopts_bucket and not (sides.ledger.is_empty and await _is_empty(store)):
        return verdict
    wanted_id = sides.bucket_id or sides.ledger.installation_id or new_id()
    standing_id = await ledger.write_installation(wanted_id)
    if sides.bucket_id is None:
        document = InstallationDocument(installation_id=standing_id)
        await store.put(_KEY, msgspec.json.encode(document))
    _log.info("installation id written", extra={"installation_id": str(standing_id), "adopted": adopts_bucket})
    return await compare_installation(ledger, store)


async def write_probe(ledger: Ledger, store: BlobStore, new_id: Callable[[], UUID] = new_uuid7) -> None:
    """Write to both once, so that the first chunk finds them warm; remove the probes of earlier starts (I11).

    Raises `BlobStoreError` or `LedgerError`.
    """
    earlier = await store.list_page(PROBES_PREFIX, PROBES_PREFIX, _LOOK_AT_KEYS)
    await store.put(ProbeKey(new_id()).text, b"probe")
    await ledger.check()
    for probe in earlier:
        await store.delete(probe.key)


async def _read_sides(ledger: Ledger, store: BlobStore) -> _Sides:
    installation = await ledger.read_installation()
    try:
        document = await store.get(_KEY)
    except BlobNotFoundError:
        return _Sides(None, "", installation)
    try:
        return _Sides(msgspec.json.decode(document, type=InstallationDocument).installation_id, "", installation)
    except msgspec.MsgspecError as error:
        return _Sides(None, f"the bucket's {_KEY} cannot be read ({error})", installation)


async def _is_empty(store: BlobStore) -> bool:
    listed = await store.list_page("", "", _LOOK_AT_KEYS)
    return all(blob.key == _KEY or blob.key.startswith(PROBES_PREFIX) for blob in listed)


def _mismatch(detail: str, next_step: str) -> Verdict:
    return Verdict(is_matched=False, detail=detail, next_step=next_step)
