"""What a manifest must be by itself, and when two of them say the same."""

from protocol.errors import ErrorCode
from protocol.wire import Manifest
from server.refusal import Refusal


def check_manifest(manifest: Manifest) -> None:
    """Raise `Refusal` (INVALID_REQUEST) naming the first place that breaks a rule.

    Each run is listed once; chunks have the indexes 0, 1, 2, … without gap or repeat; each chunk's
    run is listed. A run without a chunk is allowed, and so is a manifest without any.
    """
    runs: set[int] = set()
    for place, run in enumerate(manifest.runs):
        if run.run in runs:
            raise _broken(f"$.runs[{place}].run", f"run {run.run} is listed a second time")
        runs.add(run.run)
    for place, entry in enumerate(manifest.chunks):
        if entry.chunk_index != place:
            raise _broken(f"$.chunks[{place}].chunk_index", f"expected {place}, got {entry.chunk_index}")
        if entry.run not in runs:
            raise _broken(f"$.chunks[{place}].run", f"run {entry.run} is not in $.runs")


def is_same_content(one: Manifest, other: Manifest) -> bool:
    """Whether both list the same chunks and runs.

    Who ended the recording may differ: the tab that stopped it died before it had its certificate,
    and the one that recovers it says `recovered` of the very same bytes.
    """
    return one.chunks == other.chunks and _types(one) == _types(other)


def _types(manifest: Manifest) -> dict[int, str]:
    return {run.run: run.mime_type for run in manifest.runs}


def _broken(place: str, what: str) -> Refusal:
    return Refusal(
        ErrorCode.INVALID_REQUEST,
        f"the manifest is wrong at {place}: {what}",
        next_step="List every sealed chunk in order of chunk_index from 0, and every run with its MIME type once.",
    )
