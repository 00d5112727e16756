"""The window at the other end of this worker's MessagePort.

Messages are the Structs of client_py.messages: they cross as plain objects, a slice with its Blob
beside it. The Blob's bytes are read here, synchronously and in order of arrival, so that no later
slice can overtake an earlier one.
"""

from collections.abc import Callable, Sequence
from typing import Any

import js
import msgspec
from msgspec import structs
from pyodide.ffi import create_proxy, to_js

from client_py import messages


def _subclasses_of(root: type[msgspec.Struct]) -> Any:
    """The union of a root's messages, which their `type` tells apart."""
    union: Any = root.__subclasses__()[0]
    for kind in root.__subclasses__()[1:]:
        union = union | kind
    return union


_FROM_WINDOW = _subclasses_of(messages.FromWindow)


class WindowPort:
    """See `client_py.ports.Window`."""

    def __init__(self, port: Any) -> None:
        self._port = port
        self._listener: Any = None

    def post(self, message: "Sequence[object] | object") -> None:
        if isinstance(message, messages.Held):
            fields = _to_object(structs.replace(message, content=b""))
            fields.content = to_js(message.content)
            self._port.postMessage(fields, to_js([fields.content.buffer]))  # moved, not copied again
        else:
            self._port.postMessage(_to_object(message))

    def listen(
        self, receive: Callable[[messages.FromWindow], None], on_failure: Callable[[BaseException], None]
    ) -> None:
        """Hand every message of the window to `receive`, in order; what it raises goes to `on_failure`."""

        def on_message(event: Any) -> None:
            try:
                receive(decode(event.data))
            except Exception as error:  # noqa: BLE001 - JavaScript would only log it; the page must know
                on_failure(error)

        self._listener = create_proxy(on_message)  # kept for the worker's whole life
        self._port.onmessage = self._listener  # setting it also starts the port


def _to_object(message: object) -> Any:
    """A plain object. Through JSON: one crossing into JavaScript whatever the size, and no proxy to destroy."""
    return js.JSON.parse(msgspec.json.encode(message).decode())


def decode(message: Any) -> messages.FromWindow:
    """One message of the window as its Struct. Raises `msgspec.ValidationError`."""
    fields = message.to_py()  # a Blob is no plain object and stays what it is
    blob = fields.pop("blob", None)
    if blob is not None:
        fields["content"] = js.FileReaderSync.new().readAsArrayBuffer(blob).to_bytes()
    # Not strict: settings from a query string are texts.
    decoded: messages.FromWindow = msgspec.convert(fields, _FROM_WINDOW, strict=False)
    return decoded
