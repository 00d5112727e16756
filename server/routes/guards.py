"""What stands before every call that reaches bucket or ledger."""

from typing import Any, cast

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from server.parts import Parts


async def require_installation(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """Raise `Refusal` (store-mismatch) where bucket and ledger do not belong together.

    Reading is refused too: an emptied ledger would answer `unknown` for what was acknowledged, and a
    wrong bucket would make every chunk look lost.
    """
    await cast(Parts, connection.app.state["parts"]).installation.require()
