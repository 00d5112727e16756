"""Whether this server's last life ended well: one that did not is followed by an audit.

After a power loss the names of files and the index of the embedded bucket may be older than what was
acknowledged; and whatever died between a PUT and its COMMIT left an orphan. Kept in the ledger, where
COMMIT flushes it.
"""

import logging
import socket
from dataclasses import dataclass, field
from uuid import UUID

from server.audit.jobs import AUDIT
from server.settings import Settings
from server.storage.audit_ledger import AuditLedger
from server.storage.keys import new_uuid7

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Life:
    """One life of the server at `node`: a machine, a data directory and a port."""

    node: str
    life_id: UUID = field(default_factory=new_uuid7)


def life_of(settings: Settings) -> Life:
    """A new life of the server with these settings."""
    return Life(f"{socket.gethostname()} {settings.data_dir} {settings.port}")


async def begin_life(audit_ledger: AuditLedger, life: Life) -> None:
    """Note it, and ask for an audit where the last one did not end well. Raises `LedgerError`."""
    if not await audit_ledger.begin_life(life.node, life.life_id):
        _log.warning("the last life of this server did not end well; an audit follows")
        await audit_ledger.ask_pass(AUDIT)
