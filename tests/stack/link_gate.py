"""A TCP proxy on one link of the stack that does to it what networks do: late, slow, reset, cut, half-open."""

import asyncio
import socket
import struct
from enum import StrEnum
from typing import Final

from e2e.tcp_gate import Line, TcpGate, until_either_ends

LATE_S: Final = 0.3
SLOW_BYTES_PER_S: Final = 30_000
# Less than a large chunk.
CUT_AFTER_BYTES: Final = 40_000
# A connection is reset when it has carried so many pieces.
RESET_AFTER_PIECES: Final = 12
_PIECE_BYTES: Final = 4_096


class Fault(StrEnum):
    """What happens on the link, to the connections that are open too."""

    NONE = "none"
    LATE = "late"
    SLOW = "slow"
    RESET = "reset"
    CUT = "cut"
    HALF_OPEN = "half-open"


class LinkGate(TcpGate):
    """Forwards to `host:port`; `fault` may change at any time, from any thread.

    A connection that lost bytes in a half-open link never speaks again, also when the fault is gone.
    """

    def __init__(self, host: str, port: int, cut_after_bytes: int = CUT_AFTER_BYTES) -> None:
        self.fault = Fault.NONE
        self.cut_after_bytes = cut_after_bytes
        self._upstream = (host, port)
        self._line = Line()
        super().__init__("link-gate")

    async def carry(self, size: int) -> None:
        """Wait as long as the fault makes so many bytes take; all connections share a slow line."""
        if self.fault is Fault.LATE:
            await asyncio.sleep(LATE_S)
        elif self.fault is Fault.SLOW:
            await self._line.carry(size, SLOW_BYTES_PER_S)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream: asyncio.StreamWriter | None = None
        try:
            if self.fault is Fault.HALF_OPEN:
                await asyncio.Event().wait()  # nobody behind it hears of a new connection
            upstream_reader, upstream = await asyncio.open_connection(*self._upstream)
            await _Link(self).run((reader, upstream), (upstream_reader, writer))
        finally:
            for side in (writer, upstream):
                if side is not None:
                    _reset(side)


_Way = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Link:
    """One connection, both ways."""

    def __init__(self, gate: LinkGate) -> None:
        self._gate = gate
        self._pieces = 0
        self._carried = 0
        self._is_deaf = False

    async def run(self, *ways: _Way) -> None:
        """Until either side ends, or the fault ends it."""
        await until_either_ends(*(self._forward(*way) for way in ways))

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(_PIECE_BYTES):
            await self._gate.carry(len(piece))
            self._is_deaf = self._is_deaf or self._gate.fault is Fault.HALF_OPEN
            if self._is_deaf:
                continue
            if self._has_had_enough(len(piece)):
                return
            writer.write(piece)
            await writer.drain()
        if self._is_deaf or self._gate.fault is Fault.HALF_OPEN:
            await asyncio.Event().wait()  # the other side does not hear of the end either

    def _has_had_enough(self, size: int) -> bool:
        """Whether the fault ends the connection now; what it carried before the fault does not count."""
        fault = self._gate.fault
        if fault is Fault.RESET:
            self._pieces += 1
        if fault is Fault.CUT:
            self._carried += size
        return self._pieces > RESET_AFTER_PIECES or self._carried > self._gate.cut_after_bytes


def _reset(writer: asyncio.StreamWriter) -> None:
    """End it with RST, as a machine does that knows nothing of the connection any more."""
    raw = writer.get_extra_info("socket")
    if raw is not None and raw.fileno() != -1:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
