"""The wiring of one API process: settings, parts, routes, and what surrounds every call."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from litestar import Litestar
from litestar.types import ControllerRouterHandler

from server.authorisation import require_authorisation
from server.envelope import Envelope
from server.metrics import Metrics
from server.parts import Parts, open_parts
from server.problems import answer_problem
from server.routes.audit import audit_routes
from server.routes.chunks import chunk_routes
from server.routes.loose_chunks import loose_chunk_routes
from server.routes.media import media_routes
from server.routes.ops import ops_routes
from server.routes.page import page_routes
from server.routes.recordings import recording_routes
from server.routes.service import service_routes
from server.settings import Settings

ROUTES: Final[list[ControllerRouterHandler]] = [
    recording_routes,
    chunk_routes,
    media_routes,
    loose_chunk_routes,
    *audit_routes,
    *service_routes,
    *ops_routes,
    *page_routes,
]

_GAUGES_EVERY_S: Final = 1.0


def create_app(settings: Settings) -> Envelope:
    """What a worker runs, over the stores that the settings name."""
    metrics = Metrics()
    return Envelope(create_litestar(lambda: open_parts(settings, metrics)), metrics)


def create_litestar(open_its_parts: Callable[[], AbstractAsyncContextManager[Parts]]) -> Litestar:
    """The routes, over the parts that each of its lives opens at its start and closes at its end."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with open_its_parts() as running:
            app.state["parts"] = running
            watching = [asyncio.create_task(running.installation.watch()), asyncio.create_task(_keep_gauges(running))]
            watching.append(asyncio.create_task(running.history.run()))
            watching += [asyncio.create_task(running.schedule.run()), asyncio.create_task(running.vitals.run())]
            if running.settings.media_makers:
                watching.append(asyncio.create_task(running.making.run()))
            try:
                yield
            finally:
                running.waiting.begin_drain()
                await running.ingest.drain()
                await running.verifier.close()
                for task in watching:
                    task.cancel()
                await asyncio.gather(*watching, return_exceptions=True)
                running.metrics.write_down()

    return Litestar(
        route_handlers=ROUTES,
        lifespan=[lifespan],
        guards=[require_authorisation],
        exception_handlers={Exception: answer_problem},
        # Bodies are read and bounded in server/routes/bodies.py, answers described in server/routes/openapi.py.
        request_max_body_size=None,
        openapi_config=None,
        logging_config=None,
        debug=False,
    )


async def _keep_gauges(parts: Parts) -> None:
    """Whichever worker is asked answers for all, so each writes down its own state from time to time."""
    while True:
        parts.metrics.set_waiting(byte_count=parts.waiting.byte_count, body_count=parts.waiting.chunk_count)
        parts.metrics.set_flushes_in_flight(parts.ingest.flushes_in_flight)
        verdict = parts.installation.verdict
        parts.metrics.set_matched(verdict is not None and verdict.is_matched)
        parts.metrics.write_down()
        await asyncio.sleep(_GAUGES_EVERY_S)
