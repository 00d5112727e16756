"""A TCP proxy before PostgreSQL that sees a COMMIT coming and does to it what a test asks.

It knows just enough of the protocol: after the start-up, a client's message is one byte of type, four of
length, and the rest; `commit` travels as a simple query, or, behind a statement that goes with it, is parsed
and executed like that one.
"""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum
from typing import Final

from psycopg.conninfo import conninfo_to_dict, make_conninfo

_COMMIT: Final = b"Q" + struct.pack("!I", 4 + len(b"commit\0")) + b"commit\0"
_PARSE_COMMIT: Final = b"P" + struct.pack("!I", 4 + len(b"\0commit\0\0\0")) + b"\0commit\0\0\0"
# The server answers what stands before it.
_SYNC: Final = b"S" + struct.pack("!I", 4)


class Fate(Enum):
    """What becomes of the next COMMIT; each later connection passes untouched unless it says so."""

    PASS = "pass"
    LOSE = "lose"  # cut before the server sees it: the server rolls back
    CUT_AFTER = "cut after"  # the server commits, the answer is lost with the connection
    SILENCE = "silence"  # the server commits, the answer never comes, the connection stays
    HOLD = "hold"  # the client is cut off; the server sees the COMMIT when `release` is set
    VANISH = "vanish"  # cut, and from then on nobody can connect


class PostgresProxy:
    """`url` leads through it. `fate` concerns the next COMMIT, after which it is PASS again."""

    def __init__(self, database_url: str) -> None:
        self._target = conninfo_to_dict(database_url)
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self.fate = Fate.PASS
        self.commits_seen = 0
        self.release = asyncio.Event()
        self.held = asyncio.Event()
        self.is_gone = False
        self._speaks = asyncio.Event()
        self._speaks.set()

    def hush(self) -> None:
        """From now on no answer reaches a client, though its connection stays."""
        self._speaks.clear()

    def speak(self) -> None:
        """Let answers through again."""
        self._speaks.set()

    @property
    def url(self) -> str:
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return make_conninfo(**{**self._target, "host": "127.0.0.1", "port": port})

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        try:
            if not self.is_gone:
                await self._link(reader, writer)
        except (OSError, asyncio.CancelledError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            self._links.discard(task)

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(str(self._target["host"]), int(str(self._target["port"])))
        down = asyncio.create_task(self._copy_answers(up_reader, writer))
        try:
            while data := await reader.read(65_536):
                if data != _COMMIT and _PARSE_COMMIT not in data:
                    up_writer.write(data)
                    continue
                self.commits_seen += 1
                fate, self.fate = self.fate, Fate.PASS
                if fate is Fate.PASS:
                    up_writer.write(data)
                    continue
                await self._befall(fate, data, up_reader, up_writer, writer, down)
                return
        finally:
            down.cancel()
            up_writer.close()

    async def _copy_answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            await self._speaks.wait()
            writer.write(data)
            await writer.drain()
        writer.close()

    async def _befall(
        self,
        fate: Fate,
        commit: bytes,
        up_reader: asyncio.StreamReader,
        up_writer: asyncio.StreamWriter,
        writer: asyncio.StreamWriter,
        down: asyncio.Task[None],
    ) -> None:
        down.cancel()
        await asyncio.gather(down, return_exceptions=True)
        if fate is Fate.LOSE:
            return
        if fate is Fate.VANISH:
            self.is_gone = True
            return
        if fate is Fate.HOLD:
            writer.close()
            self.held.set()
            await self.release.wait()
        up_writer.write(commit)
        if commit != _COMMIT and not commit.endswith(_SYNC):
            up_writer.write(_SYNC)
        await up_reader.read(65_536)
        if fate is Fate.SILENCE:
            await asyncio.Event().wait()


@asynccontextmanager
async def proxy_before(database_url: str) -> AsyncIterator[PostgresProxy]:
    """A started proxy, stopped at the end."""
    proxy = PostgresProxy(database_url)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
