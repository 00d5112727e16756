"""The id that ties an answer to the log: taken from the caller or the proxy where it is a sane one, else made here."""

import os
import re
from collections.abc import Mapping
from itertools import count
from typing import Any, Final

# Unlike those of any other process, and cheaper than chance for each of thousands a second.
_PROCESS: Final = os.urandom(6).hex()
_numbers = count()
_SANE: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")


def assign_request_id(scope: Mapping[str, Any]) -> str:
    """Put an id into the scope's state and return it."""
    request_id = ""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            request_id = str(value, "ascii") if _SANE.fullmatch(value) is not None else ""
            break
    if not request_id:
        request_id = f"{_PROCESS}{next(_numbers):08x}"
    scope["state"]["request_id"] = request_id
    return request_id


def request_id_of(scope: Mapping[str, Any]) -> str:
    """The id that was assigned; empty where none was."""
    return str(scope.get("state", {}).get("request_id", ""))
