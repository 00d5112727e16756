"""What injected_recorder.js hands over, made again outside the browser."""

from pathlib import Path

SCRIPT = Path(__file__).with_name("injected_recorder.js")


def _make_pattern() -> bytes:
    pattern = bytearray(65_536)
    x = 1
    for n in range(len(pattern)):
        x = (x * 1_103_515_245 + 12_345) & 0xFFFFFFFF
        pattern[n] = (x >> 16) & 0xFF
    return bytes(pattern)


PATTERN = _make_pattern()


def slice_bytes(number: int, size: int) -> bytes:
    """The bytes of the slice with that number of its page load."""
    whole, rest = divmod(size - 4, len(PATTERN))
    return number.to_bytes(4, "little") + PATTERN * whole + PATTERN[:rest]


def content_of(sizes: list[int]) -> bytes:
    """What a recording of slices of these sizes, the first of its page load, consists of."""
    return b"".join(slice_bytes(number, size) for number, size in enumerate(sizes))
