"""What each kind of finding means and what to do next, for the API, the command line and docs/OPERATING.md."""

from typing import Final, NamedTuple

from protocol.operations import Finding
from protocol.states import FindingKind
from server.storage.audit_ledger import StoredFinding


class Explanation(NamedTuple):
    """Two sentences for a person."""

    meaning: str
    next_step: str


EXPLANATIONS: Final[dict[FindingKind, Explanation]] = {
    FindingKind.MISSING: Explanation(
        "The ledger points to an object that the bucket does not have, or one side lost a document.",
        "Nothing by hand: the chunks are asked for again from the client that recorded them, documents are written "
        "again. Find out who deletes from the bucket.",
    ),
    FindingKind.ORPHAN: Explanation(
        "The bucket holds an object with chunks that have no row.",
        "Nothing when it is resolved: its chunks were adopted. Else the detail says why not; it stays untouched.",
    ),
    FindingKind.MISMATCHED: Explanation(
        "The bytes in the bucket are not those that were acknowledged.",
        "Nothing by hand: damaged chunks are never served and are asked for again. Check the bucket's disks.",
    ),
    FindingKind.DISPUTED: Explanation(
        "The bucket holds two contents of one chunk, and nothing says which one counts.",
        "Let the recording's client come back: what it still holds decides. Both contents are kept.",
    ),
    FindingKind.STALLED: Explanation(
        "An open recording whose client has not been heard of for a long time.",
        "Have its person open the page on that device: the rest arrives by itself. It is playable as far as it came.",
    ),
    FindingKind.UNRECOVERABLE: Explanation(
        "Chunks are lost and nobody can be expected to send them any more.",
        "Restore the object named from a backup of the bucket; the next audit takes it back. If the device still "
        "exists, open the page on it.",
    ),
    FindingKind.FOREIGN: Explanation(
        "The bucket holds an object that no server of this kind makes; it is never touched.",
        "Find out who writes into this bucket; move the object elsewhere.",
    ),
}


def explain(finding: StoredFinding) -> Finding:
    """The finding as the wire shows it."""
    explanation = EXPLANATIONS[finding.kind]
    return Finding(
        finding_id=finding.finding_id,
        kind=finding.kind,
        meaning=explanation.meaning,
        next_step=explanation.next_step,
        detail=finding.detail,
        recording_id=finding.recording_id,
        first_chunk_index=finding.first_chunk_index,
        last_chunk_index=finding.last_chunk_index,
        chunk_count=finding.chunk_count,
        object_key=finding.object_key,
        seen_at=finding.seen_at,
        resolved_at=finding.resolved_at,
    )
