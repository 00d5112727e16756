"""The one function that authorises every call; whoever may reach the port may do everything, for now.

It runs as a guard of the whole application, so that no route can be added that passes it by, and
server/hot_route.py, which passes the framework by, calls it itself. Tokens and tenants will find their
place here: the caller's scope from the Authorization header, compared with the call's method, path
template and recording_id; until then settings.py keeps the server on loopback.
"""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Scope


def authorise(_scope: Scope) -> None:
    """Return when the caller may make this call; raise `Refusal` otherwise."""
    return


async def require_authorisation(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """`authorise` as a guard; async, because the framework runs a plain function in a thread, for every call."""
    authorise(connection.scope)
