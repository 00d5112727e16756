"""A client that reaches a stack over a real connection, through the protocol that a server runs."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn

from server.http_protocol import make_protocol
from tests.server.stack import Stack


@asynccontextmanager
async def served_on_a_socket(stack: Stack) -> AsyncIterator[int]:
    """The port on 127.0.0.1 on which this stack's application answers; its lifespan is the stack's own."""
    async with serving(stack) as server:
        yield port_of(server)


def port_of(server: uvicorn.Server) -> int:
    """Where it answers."""
    return int(server.servers[0].sockets[0].getsockname()[1])


@asynccontextmanager
async def serving(stack: Stack) -> AsyncIterator[uvicorn.Server]:
    """The server behind `served_on_a_socket`; nothing but the caller lets its time pass (`on_tick`)."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        stack.app,
        http=make_protocol(stack.app.find_parts),
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    try:
        yield server
    finally:
        server.should_exit = True
        await server.shutdown(sockets=[listener])


def request_of(chunk_id: str, data: str = "data", *fields: str, version: str = "1.1") -> bytes:
    """An upload as a client writes it; `fields` are further headers."""
    body = json.dumps({"chunkId": chunk_id, "data": data}).encode()
    head = [f"POST /api/chunks/upload HTTP/{version}", "Host: localhost", "Content-Type: application/json"]
    return "\r\n".join([*head, f"Content-Length: {len(body)}", *fields, "", ""]).encode() + body


async def exchange(port: int, *pieces: bytes, pause_s: float = 0.0) -> bytes:
    """Send the pieces, each as a packet of its own, and everything that comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)
        return await reader.read()
    finally:
        writer.close()
