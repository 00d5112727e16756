"""Who dies at which step of the collect that a server runs itself, and what must be true afterwards."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import httpx

from tests.integration.processes import wait_until
from tests.stack.collect_kills import STEPS, converge, count_lost, count_returned, furnish
from tests.stack.ingest_kills import Stack, Victim, bring_back, kill
from tests.stack.outcomes import Outcome, describe_repairs
from tests.stack.standing_still import go_on
from tests.stack.words import let_leases_end, let_the_grace_period_pass

VICTIMS: Final = (Victim.WORKER, Victim.SUPERVISOR)


def run_cell(stack: Stack, step: str, victim: Victim) -> Outcome:
    """Kill it there; another process of the server ends the pass by itself; every promise is kept."""
    server = stack.server
    server.wait_until_ready()
    url, bucket = server.database_url, server.bucket
    # Given a bucket with something for each step, and a server that stands still in its collect
    furnished = asyncio.run(furnish(url, bucket))
    let_the_grace_period_pass(url)
    stack.still.order(STEPS[step])
    with ThreadPoolExecutor(1) as threads:
        asking = threads.submit(_ask, server.base_url)
        pid = stack.still.wait(f"the server to stand still in collect: {step}")

        # When the victim dies there
        began_s = time.monotonic()
        kill(stack, victim, pid, 0)
        go_on(pid)
        told = asking.result()
    bring_back(stack, victim, pid, 0)

    # Then nothing is lost now, and the pass is ended by whoever looks next, without anybody asking again
    assert asyncio.run(count_lost(url, bucket, furnished)) == 0
    let_leases_end(url)
    wait_until(lambda: _standing(server.base_url) == "finished", "another process to end the pass")
    back_s = time.monotonic() - began_s
    found = asyncio.run(converge(url, bucket))
    return Outcome(
        step,
        victim,
        told,
        describe_repairs(found),
        "the server" if not found else "the server; audit; collect",
        back_s,
        asyncio.run(count_lost(url, bucket, furnished)),
        asyncio.run(count_returned(url, bucket, furnished)) + stack.count_returned(),
    )


def _ask(base_url: str) -> str:
    try:
        answer = httpx.post(f"{base_url}/api/collect", timeout=60)
    except httpx.TransportError:
        return "cut off"
    return str(answer.json().get("standing", answer.status_code))


def _standing(base_url: str) -> str:
    return str(httpx.get(f"{base_url}/api/collect", timeout=30).json().get("standing"))
