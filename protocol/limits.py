"""Every bound that both sides of the wire share, with its unit and its reason (invariant I6)."""

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# One chunk is held whole in memory on both sides; eight of them in flight stay under 64 MiB.
CHUNK_MAX_BYTES: Final = 8 * MIB
# A chunk's index stands in its bucket key with eight digits.
CHUNK_INDEX_MAX: Final = 99_999_999
# A run's number stands in the bucket key with four digits; a new run needs a lost device each time.
RUN_MAX: Final = 9_999
# Up to here a chunk is packed with others into one object; above, its own object costs less than a copy.
PACK_CHUNK_MAX_BYTES: Final = 64 * KIB

# 100,000 chunks of 2 s are 55 hours; the manifest of that many entries is about 14 MB of JSON.
MANIFEST_CHUNKS_MAX: Final = 100_000
MANIFEST_BODY_MAX_BYTES: Final = 20 * MIB
# One verify call: an answer stays under 200 KB, and a client pages through a long recording.
VERIFY_CHUNKS_MAX: Final = 1_000
# A verify call reads back at most so many objects and for at most so long; the rest is `pending`.
VERIFY_OBJECTS_MAX: Final = 256
VERIFY_DURATION_S_MAX: Final = 5.0
# Small JSON bodies (registration, title, verify); the JSON of 1,000 claims is about 100 KB.
JSON_BODY_MAX_BYTES: Final = 256 * KIB
# The JSON of a loose chunk: escapes may make six bytes of one (\u0000), and its data is a small chunk.
LOOSE_BODY_MAX_BYTES: Final = 1 * MIB
# chunkId of a loose chunk: 1-128 characters of 0x21-0x7E.
LOOSE_CHUNK_ID_MAX_CHARS: Final = 128

# The shape of a waveform, however long the recording: twice what a wide screen shows.
PEAKS_MAX: Final = 2_000

TITLE_MAX_CHARS: Final = 200
# What is sought in titles is never longer than one.
SEARCH_MAX_CHARS: Final = TITLE_MAX_CHARS
MIME_TYPE_MAX_CHARS: Final = 255
# Rows of one page of a listing.
PAGE_ROWS_DEFAULT: Final = 100
PAGE_ROWS_MAX: Final = 1_000
