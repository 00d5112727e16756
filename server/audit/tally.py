"""Where an audit stands and what it has counted: kept in the ledger, so that another process can go on from there."""

from enum import StrEnum

import msgspec
from msgspec import Struct


class Phase(StrEnum):
    """What an audit looks at, in this order: tombstones and registrations decide what may be adopted."""

    DOCUMENTS = "documents"
    OWN_OBJECTS = "own-objects"
    PACKS = "packs"
    FOREIGN = "foreign"
    FINDINGS = "findings"


class Tally(Struct):
    """One audit. `after` is the place within the phase, "" at its beginning; times in seconds."""

    phase: Phase = Phase.DOCUMENTS
    after: str = ""
    duration_s: float = 0.0
    chunks: int = 0  # rows that point to objects
    objects: int = 0  # packs and chunks of their own in the bucket
    missing: int = 0  # objects that rows point to and the bucket lost
    orphans: int = 0  # objects that hold chunks without a row, old enough to be sure
    mismatched: int = 0  # objects whose bytes are not what rows say
    adopted: int = 0  # chunks
    rerequested: int = 0  # chunks
    restored: int = 0  # documents and rows written again from the other side
    foreign: int = 0
    young: int = 0  # objects without a row that may still be on their way
    stalled: int = 0
    returned: int = 0
    resolved: int = 0  # findings
    unrecoverable: int = 0  # chunks, newly called so


_decoder = msgspec.json.Decoder(Tally)


def read_tally(progress: str) -> Tally:
    """The tally as it was saved; one of another version begins anew."""
    try:
        return _decoder.decode(progress)
    except msgspec.MsgspecError:
        return Tally()


def write_tally(tally: Struct) -> str:
    """For `read_tally` and its like."""
    return msgspec.json.encode(tally).decode()
