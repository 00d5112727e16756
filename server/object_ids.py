"""UUIDv7s from the system's clock and randomness: for bucket objects, titles and probes."""

import os
import time
from uuid import UUID

from protocol.ids import RANDOM_BYTES_OF_UUID7, make_uuid7


def new_uuid7() -> UUID:
    """A UUIDv7 of this moment."""
    return make_uuid7(time.time_ns() // 1_000_000, os.urandom(RANDOM_BYTES_OF_UUID7))
