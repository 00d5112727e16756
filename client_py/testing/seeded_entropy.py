"""Randomness that a test can repeat by its seed."""

import random


class SeededEntropy:
    """client_py.ports.Entropy."""

    def __init__(self, seed: int | str) -> None:
        self._random = random.Random(seed)  # noqa: S311 - for tests alone

    def random_bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)

    def uniform(self) -> float:
        return self._random.random()
