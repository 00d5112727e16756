"""Runs passes inside the server: what is due or asked for, in one process at a time.

A lease in the ledger says who runs a pass and where it stands, so that another process goes on where
one died. It saves work and is never relied on: two that run at once do no harm (I5).
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from server.audit.collect import CollectTally
from server.audit.jobs import Job
from server.audit.tally import Tally
from server.refusal import Refusal
from server.storage.audit_ledger import AuditLedger, PassState, TakenPass
from server.storage.blob_store import BlobStoreError
from server.storage.keys import new_uuid7
from server.storage.ledger import LedgerError

_log = logging.getLogger(__name__)

# One small statement a worker and kind.
_LOOK_EVERY_S: Final = 5.0
# A holder says so often that it is alive and how far; one that is silent for so long is replaced.
_SAVE_EVERY_S: Final = 5.0
LEASE_S: Final = 30.0
# How often a caller that waits for a pass looks; each look is one row by its key.
_ASK_EVERY_S: Final = 0.1


class Schedule:
    """The jobs of one process. `jobs` by their kinds."""

    def __init__(self, audit_ledger: AuditLedger, jobs: Sequence[Job], holder: UUID | None = None) -> None:
        self._audit_ledger = audit_ledger
        self._jobs = jobs
        self._holder = holder or new_uuid7()
        self._nudges = {job.kind: asyncio.Event() for job in jobs}

    async def run(self) -> None:
        """Run what is due, for ever; ends by cancellation, and then another process goes on."""
        async with asyncio.TaskGroup() as group:
            for job in self._jobs:
                group.create_task(self._keep_running(job))

    async def ask(self, kind: str) -> datetime:
        """Somebody wants a pass that begins from now on. Raises `LedgerError`."""
        asked_at = await self._audit_ledger.ask_pass(kind)
        self._nudges[kind].set()
        return asked_at

    async def ask_and_wait(self, kind: str, wait_s: float) -> PassState:
        """Ask, and wait at most so long until that pass has ended. Raises `LedgerError`."""
        asked_at = await self.ask(kind)
        deadline_s = asyncio.get_running_loop().time() + wait_s
        while True:
            state = await self._audit_ledger.read_pass(kind)
            has_ended = state.progress is None and state.began_at is not None and state.began_at >= asked_at
            if has_ended or asyncio.get_running_loop().time() >= deadline_s:
                return state
            await asyncio.sleep(_ASK_EVERY_S)

    async def _keep_running(self, job: Job) -> None:
        nudge = self._nudges[job.kind]
        while True:
            nudge.clear()
            try:
                await self.run_due(job)
            except (BlobStoreError, LedgerError, Refusal) as error:
                # What was done stands, and the next look goes on from there.
                _log.warning(f"{job.kind} interrupted", extra={"reason": str(error)})
            try:
                async with asyncio.timeout(_LOOK_EVERY_S):
                    await nudge.wait()
            except TimeoutError:
                pass

    async def run_due(self, job: Job, on_tally: Callable[[Tally | CollectTally], None] = lambda _: None) -> bool:
        """Run the job's pass if it is due or asked for and nobody runs it; whether it was run to its end.

        Raises `BlobStoreError`, `LedgerError`, `Refusal`; then the pass is left for the next one who looks.
        """
        taken = await self._audit_ledger.take_pass(job.kind, self._holder, every_s=job.every_s, lease_s=LEASE_S)
        if taken is None:
            return False
        progress = taken.progress
        _log.info(f"{job.kind} begins" if not progress else f"{job.kind} goes on")

        def on_progress(saved: str, tally: Tally | CollectTally) -> None:
            nonlocal progress
            progress = saved
            on_tally(tally)

        async def keep_lease() -> None:
            while True:
                await asyncio.sleep(_SAVE_EVERY_S)
                await self._save(taken, progress)

        keeping = asyncio.create_task(keep_lease())
        try:
            report = await job.run(taken.began_at, taken.progress, on_progress)
        except BaseException:
            keeping.cancel()
            await self._let_go(taken, progress)
            raise
        keeping.cancel()
        await self._audit_ledger.finish_pass(taken, report)
        _log.info(f"{job.kind} ended", extra={"report": msgspec.json.decode(report)})
        return True

    async def _save(self, taken: TakenPass, progress: str) -> None:
        try:
            await self._audit_ledger.save_pass(taken, progress, lease_s=LEASE_S)
        except LedgerError as error:
            _log.warning("progress not saved", extra={"pass": taken.kind, "reason": str(error)})

    async def _let_go(self, taken: TakenPass, progress: str) -> None:
        await self._save(taken, progress)
        try:
            await self._audit_ledger.release_pass(taken)
        except LedgerError as error:
            _log.warning("pass not released", extra={"pass": taken.kind, "reason": str(error)})
