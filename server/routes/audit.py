"""`/api/audit`, `/api/scrub`, `/api/collect` and `/api/findings`: run one now, the last report, what was found."""

from typing import Final
from uuid import UUID

from litestar import Response, get, post

from protocol.errors import ErrorCode
from protocol.operations import AuditReport, CollectReport, FindingPage
from protocol.states import FindingKind, PassStanding
from server.audit.explanations import explain
from server.audit.jobs import AUDIT, COLLECT, SCRUB, read_audit_report, read_collect_report, read_scrub_report
from server.recordings.cursors import decode_finding_cursor, encode_finding_cursor
from server.refusal import Refusal
from server.routes.answers import AnyRequest, answer_json, parts_of, read_page, read_recording_id
from server.routes.guards import require_installation
from server.storage.audit_ledger import FindingFilter

# An audit or a collect of a small installation is done by then; a longer one goes on, and GET tells of it.
_WAIT_S: Final = 15.0
_RESOLVED: Final = {"true": True, "false": False}


@post("/api/audit", guards=[require_installation])
async def run_audit(request: AnyRequest) -> Response[bytes]:
    """200 with the report of an audit that began after this call; 202 where it still runs."""
    return _answer_report(read_audit_report(await parts_of(request).schedule.ask_and_wait(AUDIT, _WAIT_S)))


@get("/api/audit", guards=[require_installation])
async def show_audit(request: AnyRequest) -> Response[bytes]:
    return answer_json(read_audit_report(await parts_of(request).audit_ledger.read_pass(AUDIT)))


@post("/api/scrub", guards=[require_installation])
async def run_scrub(request: AnyRequest) -> Response[bytes]:
    """A scrub takes its time: it begins, or goes on, and GET tells how far it is."""
    parts = parts_of(request)
    if read_scrub_report(await parts.audit_ledger.read_pass(SCRUB)).standing is not PassStanding.RUNNING:
        await parts.schedule.ask(SCRUB)
    return answer_json(read_scrub_report(await parts.audit_ledger.read_pass(SCRUB)), 202)


@get("/api/scrub", guards=[require_installation])
async def show_scrub(request: AnyRequest) -> Response[bytes]:
    return answer_json(read_scrub_report(await parts_of(request).audit_ledger.read_pass(SCRUB)))


@post("/api/collect", guards=[require_installation])
async def run_collect(request: AnyRequest) -> Response[bytes]:
    """200 with the report of a pass that began after this call; 202 where it still runs."""
    return _answer_report(read_collect_report(await parts_of(request).schedule.ask_and_wait(COLLECT, _WAIT_S)))


@get("/api/collect", guards=[require_installation])
async def show_collect(request: AnyRequest) -> Response[bytes]:
    return answer_json(read_collect_report(await parts_of(request).audit_ledger.read_pass(COLLECT)))


@get("/api/findings", guards=[require_installation])
async def list_findings(request: AnyRequest) -> Response[bytes]:
    cursor, limit = read_page(request)
    which = _read_filter(request)
    before = None if cursor is None else decode_finding_cursor(cursor)
    rows = await parts_of(request).audit_ledger.list_findings(which, before=before, limit=limit + 1)
    shown = rows[:limit]
    page = FindingPage(
        findings=[explain(row) for row in shown],
        next_cursor=encode_finding_cursor(shown[-1].finding_id) if len(rows) > limit else None,
    )
    return answer_json(page)


def _answer_report(report: AuditReport | CollectReport) -> Response[bytes]:
    return answer_json(report, 202 if report.standing is PassStanding.RUNNING else 200)


def _read_filter(request: AnyRequest) -> FindingFilter:
    """`kind`, `recording_id` and `resolved`. Raises `Refusal` (invalid-request, invalid-recording-id)."""
    query = request.query_params
    kind, resolved, recording = query.get("kind"), query.get("resolved"), query.get("recording_id")
    if kind is not None and kind not in set(FindingKind):
        raise _invalid("kind", kind, ", ".join(FindingKind))
    if resolved is not None and resolved not in _RESOLVED:
        raise _invalid("resolved", resolved, "true or false")
    recording_id: UUID | None = None if recording is None else read_recording_id(recording)
    return FindingFilter(
        kind=None if kind is None else FindingKind(kind),
        recording_id=recording_id,
        is_resolved=None if resolved is None else _RESOLVED[resolved],
    )


def _invalid(name: str, value: str, expected: str) -> Refusal:
    return Refusal(
        ErrorCode.INVALID_REQUEST,
        f"{name} is {value[:32]!r}; expected {expected}",
        next_step="Leave it out to see every finding.",
    )


audit_routes = [run_audit, show_audit, run_scrub, show_scrub, run_collect, show_collect, list_findings]
