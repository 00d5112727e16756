"""A server in memory that speaks docs/PROTOCOL.md as the real one does, and can be made to fail in every way.

`ledger` and `bucket` are apart, so a test can lose bytes behind the server's back.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec
from msgspec import UNSET

from client_py.ports import NetworkError, RequestTimedOutError
from protocol.checksums import parse_content_digest, sha256, sha256_hex
from protocol.errors import STATUS_OF_CODE, ErrorCode, Problem
from protocol.limits import CHUNK_MAX_BYTES
from protocol.merkle import merkle_root
from protocol.states import RecordingState, Verification
from protocol.wire import (
    Certificate,
    ChunkVerification,
    Manifest,
    ManifestEntry,
    Media,
    Receipt,
    Recording,
    RecordingPage,
    RecordingRegistration,
    RecordingTitle,
    VerifyRequest,
    VerifyResponse,
)

BODY_WINDOW_S: Final = 30.0
_PATH: Final = re.compile(r"/api/recordings(?:/(?P<id>[^/]+))?(?:/(?P<rest>.+))?")


@dataclass(frozen=True, slots=True)
class Response:
    """client_py.ports.HttpResponse."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(slots=True)
class Holding:
    """What the ledger has of one recording."""

    registration: RecordingRegistration
    rows: dict[int, Receipt] = field(default_factory=dict)
    certificate: Certificate | None = None


class MemoryHoldfast:
    """One installation."""

    def __init__(self, now: Callable[[], datetime] | None = None) -> None:
        self.ledger: Final[dict[UUID, Holding]] = {}
        self.bucket: Final[dict[tuple[UUID, int], bytes]] = {}
        self.deleted: Final[set[UUID]] = set()
        self.titles: Final[dict[UUID, str]] = {}
        self.media: Final[dict[UUID, Media]] = {}  # made by the test
        self.log: Final[list[tuple[str, str, int]]] = []  # (method, path, status) of each answer
        self.puts: Final[list[tuple[UUID, int]]] = []  # chunks whose bytes arrived whole, in order
        self.is_away = False
        self.is_captive_portal = False  # everything is answered 200 with a sign-in page
        self.loses_answers = False  # requests are carried out, answers are lost
        self.refusal: tuple[ErrorCode, dict[str, str]] | None = None  # everything is refused so
        self.latency_s = 0.005
        self.delete_takes_s = 0.0
        self.bytes_a_second: float | None = None  # of the line that all requests share
        self.body_bytes_a_second_min = 0.0  # a body that is slower over BODY_WINDOW_S is cut off
        self._bodies_arriving = 0
        self._now = now or (lambda: datetime.fromtimestamp(0, UTC))

    def content_of(self, recording_id: str) -> bytes:
        """The recording's bytes as the bucket has them, in order of chunk_index."""
        key = UUID(recording_id)
        return b"".join(self.bucket[found] for found in sorted(self.bucket) if found[0] == key)

    async def exchange(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> Response:
        """One request over the network, with whatever the network does to it."""
        if self.is_away:
            await asyncio.sleep(self.latency_s)
            raise NetworkError("connection refused")
        await asyncio.sleep(self.latency_s)
        if not await self._arrives(len(body or b"")):
            self.log.append((method, path, 408))
            return _problem(ErrorCode.BODY_TOO_SLOW)
        if self.is_away:
            raise NetworkError("connection reset")
        if self.is_captive_portal:
            return Response(200, {"content-type": "text/html"}, b"<html>Please sign in</html>")
        if method == "DELETE":
            await asyncio.sleep(self.delete_takes_s)
        response = self.answer(method, path, headers, body or b"")
        self.log.append((method, path, response.status))
        if self.loses_answers:
            raise NetworkError("connection reset")
        return response

    async def _arrives(self, size: int) -> bool:
        """Take a body in over the shared line; False where it was too slow and cut off."""
        since_s = 0.0
        self._bodies_arriving += 1
        try:
            arrived = 0.0
            while arrived < size and self.bytes_a_second:
                share = self.bytes_a_second / self._bodies_arriving
                step_s = min(1.0, (size - arrived) / share)
                await asyncio.sleep(step_s)
                since_s += step_s
                arrived += step_s * share
                if since_s >= BODY_WINDOW_S and arrived < since_s * self.body_bytes_a_second_min:
                    return False
        finally:
            self._bodies_arriving -= 1
        return True

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Response:
        """What the server says."""
        if self.refusal is not None:
            return _problem(self.refusal[0], headers=self.refusal[1])
        path, _, query = path.partition("?")
        match = _PATH.fullmatch(path)
        if match is None:
            return _problem(ErrorCode.NOT_FOUND)
        if match["id"] is None:
            return self._list(dict(parse_qsl(query))) if method == "GET" else self._register(body)
        recording_id = UUID(match["id"])
        rest = match["rest"] or ""
        if recording_id in self.deleted and method != "DELETE":
            return _problem(ErrorCode.RECORDING_DELETED)
        if method == "DELETE":
            return self._delete(recording_id)
        holding = self.ledger.get(recording_id)
        if holding is None:
            return _problem(ErrorCode.RECORDING_UNKNOWN)
        if method == "PUT" and rest.startswith("chunks/"):
            return self._store(holding, recording_id, int(rest.removeprefix("chunks/")), headers, body)
        if method == "POST" and rest == "verify":
            return self._verify(holding, recording_id, msgspec.json.decode(body, type=VerifyRequest))
        if method == "POST" and rest == "complete":
            return self._complete(holding, recording_id, msgspec.json.decode(body, type=Manifest))
        if method in ("GET", "PATCH") and not rest:
            if method == "PATCH":
                self.titles[recording_id] = msgspec.json.decode(body, type=RecordingTitle).title
            return _json(200, self._describe(holding))
        return _problem(ErrorCode.NOT_FOUND)

    def _list(self, query: dict[str, str]) -> Response:
        """Newest first; the cursor is the last recording's id."""
        ids = sorted((key for key in self.ledger if str(key) < query.get("cursor", "~")), reverse=True)
        rows = [row for row in map(self._describe, map(self.ledger.__getitem__, ids)) if _is_sought(row, query)]
        limit = int(query["limit"])
        next_cursor = str(rows[limit - 1].recording_id) if len(rows) > limit else None
        rows = rows[:limit]
        return _json(200, RecordingPage(recordings=rows, next_cursor=next_cursor))

    def _register(self, body: bytes) -> Response:
        registration = msgspec.json.decode(body, type=RecordingRegistration)
        if registration.recording_id in self.deleted:
            return _problem(ErrorCode.RECORDING_DELETED)
        existing = self.ledger.get(registration.recording_id)
        if existing is not None and existing.registration != registration:
            return _problem(ErrorCode.RECORDING_DIFFERS)
        self.ledger.setdefault(registration.recording_id, Holding(registration))
        return _json(200 if existing else 201, self._describe(self.ledger[registration.recording_id]))

    def _describe(self, holding: Holding) -> Recording:
        registration, certificate = holding.registration, holding.certificate
        return Recording(
            recording_id=registration.recording_id,
            mime_type=registration.mime_type,
            title=self.titles.get(registration.recording_id, registration.title),
            started_at=registration.started_at,
            registered_at=self._now(),
            state=RecordingState.COMPLETE if certificate else RecordingState.OPEN,
            chunk_count=len(holding.rows),
            byte_count=sum(row.size for row in holding.rows.values()),
            wanted_count=0,
            certified_at=certificate.certified_at if certificate else None,
            media=self.media.get(registration.recording_id, UNSET),
        )

    def _store(
        self, holding: Holding, recording_id: UUID, index: int, headers: dict[str, str], body: bytes
    ) -> Response:
        if not body:
            return _problem(ErrorCode.CHUNK_EMPTY)
        if len(body) > CHUNK_MAX_BYTES:
            return _problem(ErrorCode.CHUNK_TOO_LARGE)
        if parse_content_digest(headers["content-digest"]) != sha256(body):
            return _problem(ErrorCode.DIGEST_MISMATCH)
        self.puts.append((recording_id, index))
        run = int(headers["chunk-run"])
        existing = holding.rows.get(index)
        if existing is not None:
            if (existing.run, existing.sha256) != (run, sha256_hex(body)):
                return _problem(ErrorCode.CHUNK_DIFFERS)
            self.bucket.setdefault((recording_id, index), body)
            return _json(200, existing)
        if holding.certificate is not None:
            return _problem(ErrorCode.RECORDING_COMPLETE)
        self.bucket[recording_id, index] = body
        receipt = Receipt(
            recording_id=recording_id,
            chunk_index=index,
            run=run,
            size=len(body),
            sha256=sha256_hex(body),
            acknowledged_at=self._now(),
        )
        holding.rows[index] = receipt
        return _json(201, receipt)

    def _verify(self, holding: Holding, recording_id: UUID, request: VerifyRequest) -> Response:
        answers: list[ChunkVerification] = []
        for claim in request.chunks:
            row = holding.rows.get(claim.chunk_index)
            if row is None:
                answers.append(ChunkVerification(chunk_index=claim.chunk_index, state=Verification.UNKNOWN))
                continue
            state = self._state_of(recording_id, row)
            if row.sha256 != claim.sha256:
                state = Verification.DIFFERS
            answers.append(
                ChunkVerification(chunk_index=claim.chunk_index, state=state, size=row.size, sha256=row.sha256)
            )
        return _json(200, VerifyResponse(recording_id=recording_id, chunks=answers))

    def _state_of(self, recording_id: UUID, row: Receipt) -> Verification:
        content = self.bucket.get((recording_id, row.chunk_index))
        if content is None or sha256_hex(content) != row.sha256:
            return Verification.MISSING
        return Verification.VERIFIED

    def _complete(self, holding: Holding, recording_id: UUID, manifest: Manifest) -> Response:
        if holding.certificate is not None:
            if holding.certificate.manifest.chunks != manifest.chunks:
                return _problem(ErrorCode.MANIFEST_DIFFERS)
            return _json(200, holding.certificate)
        rows = {
            index: ManifestEntry(run=row.run, chunk_index=index, size=row.size, sha256=row.sha256)
            for index, row in holding.rows.items()
        }
        entries = {entry.chunk_index: entry for entry in manifest.chunks}
        missing = [
            index
            for index in entries
            if index not in rows or self._state_of(recording_id, holding.rows[index]) is Verification.MISSING
        ]
        if missing:
            return _problem(ErrorCode.CHUNKS_MISSING, chunks=missing)
        if rows != entries:
            return _problem(ErrorCode.MANIFEST_DIFFERS)
        holding.certificate = Certificate(
            recording_id=recording_id,
            root=merkle_root(manifest.chunks).hex(),
            chunk_count=len(manifest.chunks),
            byte_count=sum(entry.size for entry in manifest.chunks),
            manifest=manifest,
            started_at=holding.registration.started_at,
            certified_at=self._now(),
            server_version="memory",
        )
        return _json(200, holding.certificate)

    def _delete(self, recording_id: UUID) -> Response:
        self.deleted.add(recording_id)
        self.ledger.pop(recording_id, None)
        for key in [key for key in self.bucket if key[0] == recording_id]:
            del self.bucket[key]
        return Response(204)


class MemoryHttp:
    """client_py.ports.Http, from the worker `owner`; the dead send nothing."""

    def __init__(self, server: MemoryHoldfast, is_dead: Callable[[], bool] = lambda: False) -> None:
        self._server = server
        self._is_dead = is_dead

    async def request(
        self, method: str, path: str, *, headers: dict[str, str], body: bytes | None, timeout_s: float
    ) -> Response:
        if self._is_dead():
            raise NetworkError("this worker is dead")
        try:
            async with asyncio.timeout(timeout_s):
                return await self._server.exchange(method, path, headers, body)
        except TimeoutError:
            raise RequestTimedOutError(f"no answer within {timeout_s} s") from None


def _is_sought(row: Recording, query: dict[str, str]) -> bool:
    began = row.started_at.isoformat()  # all in UTC, so the texts have the order of the times
    return (
        query.get("q", "").lower() in f"{row.title or ''} {row.recording_id}".lower()
        and row.state in query.get("state", row.state).split(",")
        and query.get("started_from", "") <= began < query.get("started_before", "~")
    )


def _json(status: int, body: Any) -> Response:
    return Response(status, {"content-type": "application/json"}, msgspec.json.encode(body))


def _problem(code: ErrorCode, *, headers: dict[str, str] | None = None, chunks: list[int] | None = None) -> Response:
    problem = Problem(
        type=f"urn:holdfast:problem:{code}",
        title=code,
        status=STATUS_OF_CODE[code],
        code=code,
        detail=f"the test server refuses: {code}",
        chunks=chunks or [],
    )
    content_type = {"content-type": "application/problem+json"}
    return Response(STATUS_OF_CODE[code], content_type | (headers or {}), msgspec.json.encode(problem))
