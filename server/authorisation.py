"""The one function that authorises every call; whoever may reach the port may do everything, for now.

It runs as a guard of the whole application, so that no route can be added that passes it by. Tokens
and tenants will find their place here: the caller's scope from the Authorization header, compared
with the call's method, path template and recording_id; until then settings.py keeps the server on
loopback.
"""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler


def authorise(_connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """Return when the caller may make this call; raise `Refusal` otherwise."""
    return
