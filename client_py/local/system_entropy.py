"""Randomness from the operating system."""

import os
import random


class SystemEntropy:
    """See `client_py.ports.Entropy`."""

    def random_bytes(self, count: int) -> bytes:
        return os.urandom(count)

    def uniform(self) -> float:
        return random.random()  # noqa: S311 - for jitter alone
