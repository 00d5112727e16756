"""Says once where the page is, when the first worker answers ready; and says why, while none does.

It asks over HTTP like everybody else, in a thread of its own, so that a slow answer delays no restart.
"""

import http.client
import logging
import threading
from collections.abc import Callable
from typing import Final

import msgspec

from protocol.wire import Health

_log = logging.getLogger(__name__)

_PATH: Final = "/api/health/ready"
# Readiness itself asks the stores for at most 3 s each.
_ANSWER_S_MAX: Final = 10.0
_PAUSE_S: Final = 0.1
_OK: Final = 200


class Announcement(threading.Thread):
    """Asks `address`:`port` until it answers ready, then logs `public_url` and calls `on_served`."""

    def __init__(self, address: str, port: int, public_url: str, on_served: Callable[[], None]) -> None:
        super().__init__(name="announcement", daemon=True)
        self._address = address
        self._port = port
        self._public_url = public_url
        self._on_served = on_served
        self._is_over = threading.Event()

    def cancel(self) -> None:
        """Ask and say nothing more."""
        self._is_over.set()

    def run(self) -> None:
        last_reason = ""
        while not self._is_over.wait(_PAUSE_S):
            try:
                status, health = self._ask()
            except (OSError, http.client.HTTPException, msgspec.MsgspecError):
                continue
            self._on_served()
            if status == _OK:
                _log.info(f"ready: {self._public_url}")
                return
            reason = "; ".join(f"{part}: {answer}" for part, answer in health.checks.items() if answer != "ok")
            if reason != last_reason and not self._is_over.is_set():
                _log.warning(f"serving {self._public_url}, not ready: {reason}")
            last_reason = reason

    def _ask(self) -> tuple[int, Health]:
        connection = http.client.HTTPConnection(self._address, self._port, timeout=_ANSWER_S_MAX)
        try:
            connection.request("GET", _PATH)
            answer = connection.getresponse()
            return answer.status, msgspec.json.decode(answer.read(), type=Health)
        finally:
            connection.close()
