"""Randomness from crypto.getRandomValues.

Not from `random`: its state would be the same in every page if the runtime ever starts from a
memory snapshot.
"""

import js


class WebEntropy:
    """See `client_py.ports.Entropy`."""

    def random_bytes(self, count: int) -> bytes:
        return js.crypto.getRandomValues(js.Uint8Array.new(count)).to_bytes()

    def uniform(self) -> float:
        return (int.from_bytes(self.random_bytes(7)) >> 3) / (1 << 53)
