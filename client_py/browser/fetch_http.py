"""Requests through the browser's fetch, each with its own AbortController.

Pyodide's own wrapper is not used: it hides every failure behind one exception. An attempt that is
cancelled or runs out of time is aborted, so that no request lives on whose answer nobody awaits.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

import js
from pyodide.ffi import JsException, to_js

from client_py.ports import NetworkError, RequestTimedOutError


@dataclass(frozen=True, slots=True)
class FetchResponse:
    """See `client_py.ports.HttpResponse`."""

    status: int
    headers: dict[str, str]
    body: bytes


class FetchHttp:
    """See `client_py.ports.Http`."""

    async def request(
        self, method: str, path: str, *, headers: dict[str, str], body: bytes | None, timeout_s: float
    ) -> FetchResponse:
        controller = js.AbortController.new()
        try:
            async with asyncio.timeout(timeout_s):
                return await self._exchange(method, path, headers, body, controller.signal)
        except TimeoutError:
            raise RequestTimedOutError(f"{method} {path}: no whole answer within {timeout_s:g} s") from None
        except JsException as error:
            # fetch says TypeError for everything from a refused connection to a redirect.
            raise NetworkError(f"{method} {path}: {error.name}: {error.message}") from error
        finally:
            controller.abort()  # after a whole answer this does nothing

    async def _exchange(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None, signal: Any
    ) -> FetchResponse:
        options = {
            "method": method,
            "headers": headers,
            "cache": "no-store",
            "credentials": "same-origin",
            "redirect": "error",  # the API answers itself; a redirect is a captive portal
            "signal": signal,
        }
        if body is not None:
            options["body"] = to_js(body)
        response = await js.fetch(path, to_js(options))
        content = await response.arrayBuffer()
        fields = js.Object.fromEntries(response.headers).to_py()
        return FetchResponse(status=response.status, headers=dict(fields), body=content.to_bytes())
