"""What runs beside the recordings: health, metrics, and the description of the API."""

from litestar import Response, get

from protocol.wire import Health
from server.metrics import METRICS_CONTENT_TYPE
from server.readiness import OK
from server.routes.answers import AnyRequest, answer_json, parts_of
from server.routes.openapi import describe_api


@get("/api/health/live")
async def is_live() -> Response[bytes]:
    """The process answers; that says nothing of its stores."""
    return answer_json(Health(status="live", checks={}))


@get("/api/health/ready")
async def is_ready(request: AnyRequest) -> Response[bytes]:
    health = await parts_of(request).readiness.report()
    return answer_json(health, 200 if all(answer == OK for answer in health.checks.values()) else 503)


@get("/metrics")
async def show_metrics(request: AnyRequest) -> Response[bytes]:
    return Response(parts_of(request).metrics.render(), headers={"content-type": METRICS_CONTENT_TYPE})


@get("/schema/openapi.json")
async def show_openapi() -> Response[bytes]:
    return answer_json(describe_api())


service_routes = [is_live, is_ready, show_metrics, show_openapi]
