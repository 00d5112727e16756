"""The passes of audit, scrub and collect in memory, as `AuditLedger` says of them."""

from abc import abstractmethod
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from server.storage.audit_ledger import PassState, TakenPass


@dataclass(slots=True)
class _PassRow:
    created_at: datetime
    asked_at: datetime | None = None
    holder: UUID | None = None
    held_until: datetime | None = None
    began_at: datetime | None = None
    progress: str | None = None
    ended_at: datetime | None = None
    report: str | None = None


@dataclass(slots=True, kw_only=True)
class MemoryPasses:
    """One row a kind."""

    passes: dict[str, _PassRow] = field(default_factory=dict)

    @abstractmethod
    def read_now(self) -> datetime:
        """The ledger's clock."""

    async def ask_pass(self, kind: str) -> datetime:
        row = self._ensure(kind)
        row.asked_at = self.read_now()
        return row.asked_at

    async def take_pass(self, kind: str, holder: UUID, *, every_s: float, lease_s: float) -> TakenPass | None:
        row, now = self._ensure(kind), self.read_now()
        is_asked = row.asked_at is not None and (row.began_at is None or row.asked_at > row.began_at)
        is_due = every_s > 0 and (row.ended_at or row.created_at) < now - timedelta(seconds=every_s)
        if (row.held_until is not None and row.held_until >= now) or not (
            row.progress is not None or is_asked or is_due
        ):
            return None
        if row.progress is None or row.began_at is None or is_asked:
            row.began_at, row.progress = now, ""
        row.holder, row.held_until = holder, now + timedelta(seconds=lease_s)
        return TakenPass(kind, holder, row.began_at, row.progress)

    async def save_pass(self, taken: TakenPass, progress: str, *, lease_s: float) -> bool:
        row = self._held_by(taken)
        if row is None:
            return False
        row.progress, row.held_until = progress, self.read_now() + timedelta(seconds=lease_s)
        return True

    async def finish_pass(self, taken: TakenPass, report: str) -> bool:
        row = self._held_by(taken)
        if row is None:
            return False
        row.progress = row.holder = row.held_until = None
        row.ended_at, row.report = self.read_now(), report
        return True

    async def release_pass(self, taken: TakenPass) -> None:
        row = self._held_by(taken)
        if row is not None:
            row.holder = row.held_until = None

    async def read_pass(self, kind: str) -> PassState:
        row = self._ensure(kind)
        return PassState(self.read_now(), row.asked_at, row.began_at, row.progress, row.ended_at, row.report)

    def _ensure(self, kind: str) -> _PassRow:
        return self.passes.setdefault(kind, _PassRow(self.read_now()))

    def _held_by(self, taken: TakenPass) -> _PassRow | None:
        row = self._ensure(taken.kind)
        return row if (row.holder, row.began_at) == (taken.holder, taken.began_at) else None
