"""What `holdfast upload` shows of its progress."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from client_py.local.upload import Progress, watch


async def test_the_end_is_shown_also_where_all_of_it_came_between_two_looks() -> None:
    row = SimpleNamespace(state="complete", slices_durable=3, chunks_acknowledged=3, chunks_verified=3)
    window: Any = SimpleNamespace(row=row, view=None, recording_id="an id")
    source: Any = SimpleNamespace(size=250, slice_bytes=100)
    shown: list[Progress] = []
    running = asyncio.create_task(asyncio.Event().wait())
    await watch(window, cast(Any, running), source, shown.append)
    running.cancel()
    assert [(each.bytes_acknowledged, each.bytes_verified) for each in shown] == [(250, 250)]
