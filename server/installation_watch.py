"""Keeps asking whether bucket and ledger still belong together, and refuses work while they do not.

A bucket can be swapped and a ledger emptied under a running server. So the ids are compared every few
seconds, at once after trouble with either store, and freshly before anything that would turn a wrong
bucket's silence into a repair (`confirm`).
"""

import asyncio
import logging
from typing import Final

from protocol.errors import ErrorCode
from server.installation import Verdict, compare_installation
from server.refusal import Refusal
from server.storage.blob_store import BlobStore, BlobStoreError
from server.storage.ledger import Ledger, LedgerError

_log = logging.getLogger(__name__)

# Between two comparisons: one small GET and one SELECT a worker.
_CHECK_EVERY_S: Final = 3.0
# After trouble no sooner than this, so that a storm of errors does not become a storm of checks.
_CHECK_PAUSE_S: Final = 0.5
_RETRY_AFTER_S: Final = 5


class InstallationWatch:
    """The last verdict on bucket and ledger; none before the first successful comparison."""

    def __init__(self, ledger: Ledger, store: BlobStore) -> None:
        self._ledger = ledger
        self._store = store
        self._verdict: Verdict | None = None
        self._trouble = asyncio.Event()

    @property
    def verdict(self) -> Verdict | None:
        """What the last successful comparison said."""
        return self._verdict

    async def require(self) -> None:
        """Return where bucket and ledger belong together as far as is known.

        Raises `Refusal` (store-mismatch); before the first successful comparison it compares, and
        raises `BlobStoreError` or `LedgerError` where a store does not answer.
        """
        if self._verdict is None:
            await self._check()
        self.require_known()

    async def confirm(self) -> None:
        """As `require`, from a comparison made now."""
        await self._check()
        self.require_known()

    def notice_trouble(self) -> None:
        """A store failed or answered strangely: compare soon."""
        self._trouble.set()

    async def watch(self) -> None:
        """Compare for ever; ends by cancellation."""
        while True:
            try:
                await self._check()
            except (BlobStoreError, LedgerError) as error:
                # The last verdict stands: whoever needs the store now hears of it from the store itself.
                _log.warning("installation not compared", extra={"reason": str(error)})
            await asyncio.sleep(_CHECK_PAUSE_S)
            try:
                async with asyncio.timeout(_CHECK_EVERY_S):
                    await self._trouble.wait()
            except TimeoutError:
                pass
            self._trouble.clear()

    async def _check(self) -> None:
        verdict = await compare_installation(self._ledger, self._store)
        if verdict != self._verdict:
            _announce(verdict)
        self._verdict = verdict

    def require_known(self) -> None:
        """As `require`, from the last verdict alone. Raises `Refusal` (store-mismatch)."""
        if self._verdict is not None and not self._verdict.is_matched:
            raise Refusal(
                ErrorCode.STORE_MISMATCH,
                self._verdict.detail,
                next_step=self._verdict.next_step,
                retry_after_s=_RETRY_AFTER_S,
            )


def _announce(verdict: Verdict) -> None:
    if verdict.is_matched:
        _log.info("bucket and ledger belong together")
    else:
        _log.error("store-mismatch", extra={"reason": verdict.detail, "next_step": verdict.next_step})
