"""The API's description (OpenAPI 3.1), made from one table of calls and the Structs of the wire.

The framework's own would know neither the raw bodies nor the problem codes; a test compares this
table with the routes that really answer.
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import msgspec

from protocol import operations, wire
from protocol.errors import STATUS_OF_CODE, ErrorCode, Problem
from server.ops import answers
from server.problems import PROBLEM_TYPE
from server.version import SERVER_VERSION

C = ErrorCode
# Any call may give these.
_ALWAYS: Final = (C.INTERNAL_ERROR, C.METHOD_NOT_ALLOWED)
# Any call that reaches bucket and ledger.
_STORES: Final = (*_ALWAYS, C.BUCKET_UNAVAILABLE, C.LEDGER_UNAVAILABLE, C.STORE_MISMATCH)
# Any call with a body.
_BODY: Final = (*_STORES, C.BODY_INCOMPLETE, C.BODY_TOO_SLOW, C.OVERLOADED, C.DRAINING, C.UNSUPPORTED_MEDIA_TYPE)
_JSON: Final = (*_BODY, C.INVALID_JSON, C.INVALID_REQUEST, C.BODY_TOO_LARGE)
_ID: Final = (C.INVALID_RECORDING_ID, C.RECORDING_DELETED)
_RECORDING: Final = (*_ID, C.RECORDING_UNKNOWN)
_MEDIA: Final = (C.MEDIA_UNKNOWN, C.MEDIA_DAMAGED, C.RANGE_NOT_SATISFIABLE)
_CHUNK: Final = (C.CHUNK_DIFFERS, C.CHUNK_DISPUTED, C.CHUNK_EMPTY)

BYTES: Final = "application/octet-stream"
ANY_MEDIA: Final = "video/*"
_RANGE: Final = ("Range", "If-Range", "If-None-Match")


@dataclass(frozen=True, slots=True)
class Call:
    """One method of one address. `answers` gives, per status, a Struct, a media type or nothing."""

    method: str
    path: str
    summary: str
    answers: dict[int, Any]
    problems: tuple[ErrorCode, ...]
    body: Any = None
    headers: tuple[str, ...] = ()
    query: tuple[str, ...] = field(default=())


_R: Final = "/api/recordings/{recording_id}"

CALLS: Final = (
    Call(
        "POST",
        "/api/recordings",
        "Register a recording under the id its browser has written down",
        {201: wire.Recording, 200: wire.Recording},
        (*_JSON, *_ID, C.RECORDING_DIFFERS),
        body=wire.RecordingRegistration,
    ),
    Call(
        "GET",
        "/api/recordings",
        "Recordings, newest first",
        {200: wire.RecordingPage},
        (*_STORES, C.INVALID_REQUEST, C.INVALID_CURSOR),
        query=("cursor", "limit", "q", "state", "started_from", "started_before"),
    ),
    Call("GET", _R, "One recording with its gaps", {200: wire.Recording}, (*_STORES, *_RECORDING)),
    Call(
        "PATCH",
        _R,
        "Give it another title",
        {200: wire.Recording},
        (*_JSON, *_RECORDING),
        body=wire.RecordingTitle,
    ),
    Call("DELETE", _R, "Delete it for ever", {204: None}, (*_STORES, C.INVALID_RECORDING_ID)),
    Call(
        "POST",
        f"{_R}/verify",
        "Which of these chunks bucket and ledger really hold",
        {200: wire.VerifyResponse},
        (*_JSON, *_RECORDING),
        body=wire.VerifyRequest,
    ),
    Call(
        "POST",
        f"{_R}/complete",
        "Close it with its manifest and get the certificate",
        {200: wire.Certificate, 202: wire.CompletePending},
        (*_JSON, *_RECORDING, C.CHUNKS_MISSING, C.MANIFEST_DIFFERS, C.CHUNK_DISPUTED),
        body=wire.Manifest,
    ),
    Call(
        "GET",
        f"{_R}/certificate",
        "The certificate of a complete recording",
        {200: wire.Certificate},
        (*_STORES, *_RECORDING, C.CERTIFICATE_UNKNOWN),
    ),
    Call(
        "GET",
        f"{_R}/chunks",
        "The ledger's rows",
        {200: wire.ChunkPage},
        (*_STORES, *_RECORDING, C.INVALID_REQUEST, C.INVALID_CURSOR),
        query=("cursor", "limit"),
    ),
    Call(
        "PUT",
        f"{_R}/chunks/{{chunk_index}}",
        "Store a chunk; its receipt comes when bucket and ledger hold it",
        {201: wire.Receipt, 200: wire.Receipt},
        (
            *_BODY,
            *_RECORDING,
            *_CHUNK,
            C.INVALID_CHUNK_INDEX,
            C.INVALID_REQUEST,
            C.DIGEST_MISSING,
            C.DIGEST_MISMATCH,
            C.CHUNK_TOO_LARGE,
            C.RECORDING_COMPLETE,
        ),
        body=BYTES,
        headers=("Content-Digest", "Chunk-Run"),
    ),
    Call(
        "GET",
        f"{_R}/chunks/{{chunk_index}}",
        "A chunk's bytes, their digest checked",
        {200: BYTES},
        (*_STORES, *_RECORDING, C.INVALID_CHUNK_INDEX, C.CHUNK_UNKNOWN, C.CHUNK_DAMAGED, C.CHUNK_DISPUTED),
    ),
    Call(
        "GET",
        f"{_R}/media",
        "The recording to be played: a seekable file once it is complete, before that the bytes so far",
        {200: ANY_MEDIA, 206: ANY_MEDIA, 304: None},
        (
            *_STORES,
            *_RECORDING,
            *_MEDIA,
            C.INVALID_REQUEST,
            C.CHUNK_DAMAGED,
            C.CHUNK_DISPUTED,
            C.MEDIA_NOT_CONVERTIBLE,
            C.OVERLOADED,
        ),
        headers=_RANGE,
        query=("download", "run", "chunks"),
    ),
    Call(
        "GET",
        f"{_R}/peaks",
        "The shape of its sound",
        {200: wire.Peaks, 206: BYTES, 304: None},
        (*_STORES, *_RECORDING, *_MEDIA),
        headers=_RANGE,
    ),
    Call(
        "GET",
        f"{_R}/poster",
        "One of its pictures",
        {200: "image/jpeg", 206: "image/jpeg", 304: None},
        (*_STORES, *_RECORDING, *_MEDIA),
        headers=_RANGE,
    ),
    Call(
        "POST",
        "/api/chunks/upload",
        "Store a loose chunk; idempotent by chunkId",
        {200: wire.Receipt},
        (*_JSON, *_CHUNK, C.INVALID_CHUNK_ID),
        body=wire.LooseChunk,
    ),
    Call(
        "GET",
        "/api/chunks/{chunkId}",
        "A loose chunk's bytes; slashes of its id may stand as they are",
        {200: BYTES},
        (*_STORES, C.INVALID_CHUNK_ID, C.CHUNK_UNKNOWN, C.CHUNK_DAMAGED, C.CHUNK_DISPUTED),
    ),
    Call(
        "POST",
        "/api/audit",
        "Compare bucket and ledger now, both ways, and repair; 202: it still runs",
        {200: operations.AuditReport, 202: operations.AuditReport},
        _STORES,
    ),
    Call("GET", "/api/audit", "The last audit's report", {200: operations.AuditReport}, _STORES),
    Call("POST", "/api/scrub", "Read every object back, at a set rate", {202: operations.ScrubReport}, _STORES),
    Call(
        "GET",
        "/api/scrub",
        "The last scrub's report, and how far the one under way is",
        {200: operations.ScrubReport},
        _STORES,
    ),
    Call(
        "POST",
        "/api/collect",
        "Remove now what the bucket holds in vain; 202: it still runs",
        {200: operations.CollectReport, 202: operations.CollectReport},
        _STORES,
    ),
    Call(
        "GET",
        "/api/collect",
        "The last collect's report, and how far the one under way is",
        {200: operations.CollectReport},
        _STORES,
    ),
    Call(
        "GET",
        "/api/findings",
        "Differences that were found, newest first, with what they mean and what to do",
        {200: operations.FindingPage},
        (*_STORES, C.INVALID_REQUEST, C.INVALID_CURSOR, C.INVALID_RECORDING_ID),
        query=("cursor", "limit", "kind", "recording_id", "resolved"),
    ),
    Call("GET", "/api/health/live", "Whether the process answers", {200: wire.Health}, _ALWAYS),
    Call(
        "GET",
        "/api/health/ready",
        "Whether it may be given work",
        {200: wire.Health, 503: wire.Health},
        _ALWAYS,
    ),
    Call("GET", "/api/ops/now", "What there is now, for the operator's page", {200: answers.Overview}, _ALWAYS),
    Call("GET", "/api/ops/history", "The last hour in samples", {200: answers.History}, _ALWAYS),
    Call(
        "GET",
        "/api/ops/recordings/{recording_id}/places",
        "Where each chunk of a recording lies",
        {200: answers.PlacePage},
        (*_STORES, *_RECORDING, C.INVALID_REQUEST, C.INVALID_CURSOR),
        query=("cursor", "limit", "from"),
    ),
    Call(
        "GET",
        "/api/ops/loose",
        "Where a loose chunk lies",
        {200: answers.PlacePage},
        (*_STORES, C.INVALID_CHUNK_ID, C.CHUNK_UNKNOWN),
        query=("chunk_id",),
    ),
    Call(
        "GET",
        "/api/ops/objects/{object_id}",
        "What an object holds, and whether the bucket has it",
        {200: answers.ObjectContents},
        (*_STORES, C.INVALID_REQUEST, C.NOT_FOUND),
    ),
    Call("GET", "/metrics", "Prometheus", {200: "text/plain"}, _ALWAYS),
    Call("GET", "/schema/openapi.json", "This document", {200: "application/json"}, _ALWAYS),
)


@cache
def describe_api() -> dict[str, Any]:
    """The whole document."""
    structs: set[type] = {Problem}
    for call in CALLS:
        structs.update(kind for kind in (call.body, *call.answers.values()) if isinstance(kind, type))
    _, components = msgspec.json.schema_components(structs, ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {}
    for call in CALLS:
        paths.setdefault(call.path, {})[call.method.lower()] = _describe_call(call)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Holdfast",
            "version": SERVER_VERSION,
            "description": "A recorder that does not lose anything. Any call may be repeated; a repeat is a success.",
        },
        "paths": paths,
        "components": {"schemas": components},
    }


def _describe_call(call: Call) -> dict[str, Any]:
    described: dict[str, Any] = {
        "summary": call.summary,
        "parameters": [
            *(
                _parameter(name, "path")
                for name in ("recording_id", "chunk_index", "chunkId", "object_id")
                if f"{{{name}}}" in call.path
            ),
            *(_parameter(name, "header") for name in call.headers),
            *(_parameter(name, "query") for name in call.query),
        ],
        "responses": {
            **{str(status): _answer(kind) for status, kind in call.answers.items()},
            **_problem_answers(call),
        },
    }
    if call.body is not None:
        described["requestBody"] = {"required": True, "content": _content(call.body)}
    return described


def _problem_answers(call: Call) -> dict[str, Any]:
    by_status: dict[int, list[str]] = {}
    for code in call.problems:
        by_status.setdefault(STATUS_OF_CODE[code], []).append(str(code))
    return {
        str(status): {
            "description": ", ".join(f"`{code}`" for code in sorted(codes)),
            "content": {PROBLEM_TYPE: {"schema": _reference(Problem)}},
        }
        for status, codes in sorted(by_status.items())
        if status not in call.answers
    }


def _answer(kind: Any) -> dict[str, Any]:
    if kind is None:
        return {"description": "Done"}
    return {"description": "Success", "content": _content(kind)}


def _content(kind: Any) -> dict[str, Any]:
    if isinstance(kind, str):
        return {kind: {}}
    return {"application/json": {"schema": _reference(kind)}}


def _reference(kind: type) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def _parameter(name: str, place: str) -> dict[str, Any]:
    is_number = name in ("chunk_index", "limit", "run", "chunks", "from", "Chunk-Run")
    return {
        "name": name,
        "in": place,
        "required": place != "query" and name not in _RANGE,
        "schema": {"type": "integer", "minimum": 0} if is_number else {"type": "string"},
    }
