"""The one place that turns the file system's DOMExceptions into the errors of client_py.ports.

They are told apart by `name`, which every browser agrees on; classes and messages differ.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import js
from pyodide.ffi import JsException

from client_py.ports import (
    FileLockedError,
    FileMissingError,
    StorageBlockedError,
    StorageFailedError,
    StorageFullError,
)

_ERRORS = {
    "QuotaExceededError": StorageFullError,
    "NoModificationAllowedError": FileLockedError,
    "NotFoundError": FileMissingError,
    "SecurityError": StorageBlockedError,  # Firefox's private windows, blocked cookies
    "UnknownError": StorageBlockedError,  # Safari's private windows
    "NotAllowedError": StorageBlockedError,
}


def let_rejections_end_an_await() -> None:
    """Have Pyodide take every exception of the browser for one; a repeat changes nothing.

    It asks for a `stack`, or for the class DOMException itself. Chromium's QuotaExceededError is a class below
    that and has none: a promise rejected with it, awaited, would never end.
    """
    js.DOMException.prototype.stack = ""


@contextmanager
def storage_errors(doing: str) -> Iterator[None]:
    """Raise what goes wrong inside as an error of client_py.ports that says what was being done."""
    try:
        yield
    except JsException as error:
        kind = _ERRORS.get(error.name, StorageFailedError)
        raise kind(f"{doing}: {error.name}: {error.message}") from error
