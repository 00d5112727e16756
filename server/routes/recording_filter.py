"""What the query of a listing seeks: a part of title or id, states, and when a recording began."""

import re
from datetime import datetime
from typing import Final

import msgspec

from protocol.errors import ErrorCode
from protocol.limits import SEARCH_MAX_CHARS
from protocol.states import RecordingState
from protocol.wire import STARTED_AT_MAX, STARTED_AT_MIN, Time
from server.refusal import Refusal
from server.routes.answers import AnyRequest
from server.storage.ledger import RecordingFilter

_SHOWN_CHARS: Final = 32
# A deleted recording is never listed.
_LISTED: Final = {str(state): state for state in RecordingState if state is not RecordingState.DELETED}


def read_filter(request: AnyRequest) -> RecordingFilter:
    """`q`, `state`, `started_from`, `started_before`. Raises `Refusal` (invalid-request)."""
    query = request.query_params
    part, states = query.get("q"), query.get("state")
    started_from = _read_time("started_from", query.get("started_from"))
    started_before = _read_time("started_before", query.get("started_before"))
    if started_from is not None and started_before is not None and started_from >= started_before:
        raise _invalid("started_before", str(started_before), f"a time after started_from, {started_from}")
    return RecordingFilter(
        part=None if part is None else _read_part(part),
        states=None if states is None else _read_states(states),
        started_from=started_from,
        started_before=started_before,
    )


def _read_part(text: str) -> str:
    part = text.strip()
    if not 1 <= len(part) <= SEARCH_MAX_CHARS or re.search(r"[\x00-\x1f\x7f]", part):
        raise _invalid("q", text, f"1 to {SEARCH_MAX_CHARS} characters of a title or an id, no controls")
    return part


def _read_states(text: str) -> frozenset[RecordingState]:
    names = text.split(",")
    if not set(names) <= _LISTED.keys():
        raise _invalid("state", text, f"one or more of {', '.join(_LISTED)}, with commas between them")
    return frozenset(_LISTED[name] for name in names)


def _read_time(name: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment: datetime = msgspec.convert(text, Time)
    except msgspec.ValidationError:
        # A plus sign that was not percent-encoded arrives as a space.
        expected = "a time with its offset, such as 2026-01-31T18:00:00Z or 2026-01-31T19:00:00%2B01:00"
        raise _invalid(name, text, expected) from None
    if not STARTED_AT_MIN <= moment < STARTED_AT_MAX:
        raise _invalid(name, text, "a time of the years 1970 to 9998")
    return moment


def _invalid(name: str, text: str, expected: str) -> Refusal:
    shown = text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"
    return Refusal(
        ErrorCode.INVALID_REQUEST,
        f"{name} is {shown!r}; expected {expected}",
        next_step=f"Leave {name} out to list recordings whatever they have there.",
    )
