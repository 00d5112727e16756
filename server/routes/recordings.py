"""`/api/recordings`: registration, description, title, listing, verification, completion, deletion."""

from litestar import Response, Router, delete, get, patch, post
from litestar.params import FromPath

from protocol.errors import ErrorCode
from protocol.ids import is_recording_id
from protocol.limits import JSON_BODY_MAX_BYTES, MANIFEST_BODY_MAX_BYTES
from protocol.wire import CompletePending, Manifest, RecordingRegistration, RecordingTitle, VerifyRequest
from server.refusal import Refusal
from server.routes.answers import AnyRequest, answer_json, parts_of, read_page, read_recording_id
from server.routes.bodies import read_json
from server.routes.guards import require_installation
from server.routes.recording_filter import read_filter


@post("/")
async def register_recording(request: AnyRequest) -> Response[bytes]:
    parts = parts_of(request)
    registration = await read_json(request, RecordingRegistration, parts.waiting, JSON_BODY_MAX_BYTES)
    if not is_recording_id(registration.recording_id):
        raise Refusal(
            ErrorCode.INVALID_RECORDING_ID,
            f"a recording id is a UUID of version 7, got {registration.recording_id}",
            next_step="Make a UUIDv7 and write it down before the first send.",
        )
    recording, is_new = await parts.registrar.register(registration)
    return answer_json(recording, 201 if is_new else 200)


@get("/")
async def list_recordings(request: AnyRequest) -> Response[bytes]:
    cursor, limit = read_page(request)
    return answer_json(await parts_of(request).reader.list_recordings(cursor, limit, read_filter(request)))


@get("/{recording_id:str}")
async def describe_recording(request: AnyRequest, recording_id: FromPath[str]) -> Response[bytes]:
    return answer_json(await parts_of(request).reader.describe(read_recording_id(recording_id)))


@patch("/{recording_id:str}")
async def rename_recording(request: AnyRequest, recording_id: FromPath[str]) -> Response[bytes]:
    parts = parts_of(request)
    known_id = read_recording_id(recording_id)
    body = await read_json(request, RecordingTitle, parts.waiting, JSON_BODY_MAX_BYTES)
    return answer_json(await parts.registrar.rename(known_id, body.title))


@delete("/{recording_id:str}", status_code=204)
async def delete_recording(request: AnyRequest, recording_id: FromPath[str]) -> None:
    await parts_of(request).eraser.delete(read_recording_id(recording_id))


@post("/{recording_id:str}/verify")
async def verify_chunks(request: AnyRequest, recording_id: FromPath[str]) -> Response[bytes]:
    parts = parts_of(request)
    known_id = read_recording_id(recording_id)
    body = await read_json(request, VerifyRequest, parts.waiting, JSON_BODY_MAX_BYTES)
    return answer_json(await parts.verifier.verify(known_id, body.chunks))


@post("/{recording_id:str}/complete")
async def complete_recording(request: AnyRequest, recording_id: FromPath[str]) -> Response[bytes]:
    parts = parts_of(request)
    known_id = read_recording_id(recording_id)
    manifest = await read_json(request, Manifest, parts.waiting, MANIFEST_BODY_MAX_BYTES)
    outcome = await parts.completer.complete(known_id, manifest)
    return answer_json(outcome, 202 if isinstance(outcome, CompletePending) else 200)


@get("/{recording_id:str}/certificate")
async def find_certificate(request: AnyRequest, recording_id: FromPath[str]) -> Response[bytes]:
    return answer_json(await parts_of(request).reader.find_certificate(read_recording_id(recording_id)))


recording_routes = Router(
    "/api/recordings",
    guards=[require_installation],
    route_handlers=[
        register_recording,
        list_recordings,
        describe_recording,
        rename_recording,
        delete_recording,
        verify_chunks,
        complete_recording,
        find_certificate,
    ],
)
