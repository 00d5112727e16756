"""Brings an embedded service back that died under the running server.

Its port stays the same, so the workers need not know: their next call reaches the new process, and
what they could not store meanwhile was never acknowledged.
"""

import logging
import time
from typing import Final

from server.embedded import EmbeddedServices
from server.services.errors import EmbeddedServiceError
from server.worker_pool import describe_exit

_log = logging.getLogger(__name__)

_RETRY_DELAY_S_FIRST: Final = 0.5
_RETRY_DELAY_S_MAX: Final = 15.0
# One that ran so long before it died starts at once again.
_SETTLED_S: Final = 60.0


class ServiceKeeper:
    """Watches `services`; one that does not come up is tried again, with a growing, bounded delay."""

    def __init__(self, services: EmbeddedServices) -> None:
        self._services = services
        self._failures: dict[str, int] = {}
        self._tried_at_s: dict[str, float] = {}

    def tend(self) -> None:
        """Start what ended, where its time has come; returns when it answers, or after a failure."""
        for ended in self._services.poll():
            now_s = time.monotonic()
            if now_s < self._tried_at_s.get(ended.name, 0.0) + self._delay_s(ended.name):
                continue
            if now_s - self._tried_at_s.get(ended.name, 0.0) > _SETTLED_S:
                self._failures[ended.name] = 0
            _log.error(f"{ended.name} ended, it starts again", extra={"exit": describe_exit(ended.code)})
            self._tried_at_s[ended.name] = now_s
            self._failures[ended.name] = self._failures.get(ended.name, 0) + 1
            try:
                self._services.restart(ended.name)
            except EmbeddedServiceError as error:
                _log.error(str(error), extra={"retry_in_s": self._delay_s(ended.name)})
            else:
                _log.info(f"{ended.name} is back")

    def _delay_s(self, name: str) -> float:
        failures = self._failures.get(name, 0)
        return min(_RETRY_DELAY_S_MAX, _RETRY_DELAY_S_FIRST * 2 ** (failures - 1)) if failures else 0.0
