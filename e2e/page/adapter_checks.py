"""Checks of the browser's adapters that have no fake's contract suite: run inside a worker, against the test's server.

Each takes nothing and raises where the adapter breaks its port's contract.
"""

import asyncio

from client_py.browser.broadcast_tabs import BroadcastTabs
from client_py.browser.fetch_http import FetchHttp
from client_py.browser.web_clock import WebClock
from client_py.browser.web_entropy import WebEntropy
from client_py.ports import NetworkError, RequestTimedOutError


async def check_a_request_carries_its_bytes_and_headers_and_gives_the_whole_answer() -> None:
    body = bytes(range(256)) * 4096
    answer = await FetchHttp().request("PUT", "/echo", headers={"Chunk-Run": "7"}, body=body, timeout_s=30)
    assert answer.status == 201
    assert answer.body == body
    assert answer.headers["x-method"] == "PUT" and answer.headers["x-run"] == "7"


async def check_any_status_is_an_answer() -> None:
    answer = await FetchHttp().request("POST", "/refuse", headers={}, body=b"{}", timeout_s=30)
    assert answer.status == 503 and answer.headers["retry-after"] == "1"
    missing = await FetchHttp().request("GET", "/no-such-thing", headers={}, body=None, timeout_s=30)
    assert missing.status == 404


async def check_a_redirect_and_a_cut_answer_are_network_errors() -> None:
    for path in ("/redirect", "/cut"):
        try:
            await FetchHttp().request("GET", path, headers={}, body=None, timeout_s=30)
        except NetworkError as error:
            assert not isinstance(error, RequestTimedOutError)
        else:
            raise AssertionError(f"{path} gave an answer")


async def check_an_attempt_is_aborted_at_its_limit() -> None:
    try:
        await FetchHttp().request("GET", "/never", headers={}, body=None, timeout_s=0.2)
    except RequestTimedOutError:
        return
    raise AssertionError("an answer came from /never")


async def check_a_cancelled_request_is_aborted() -> None:
    task = asyncio.create_task(FetchHttp().request("GET", "/never", headers={}, body=None, timeout_s=30))
    await asyncio.sleep(0.1)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return
    raise AssertionError("the cancelled request went on")


async def check_a_broadcast_reaches_other_tabs_and_not_oneself() -> None:
    one, other = BroadcastTabs(), BroadcastTabs()
    for number in range(3):
        one.publish(bytes([number, 0, 255]))
    received = [await asyncio.wait_for(other.next_message(), 30) for _ in range(3)]
    assert received == [bytes([number, 0, 255]) for number in range(3)]
    other.publish(b"answer")
    assert await asyncio.wait_for(one.next_message(), 30) == b"answer"
    one.close()
    other.close()


async def check_the_clock_goes_forward_and_sleeps_as_long_as_asked() -> None:
    clock = WebClock()
    before_ms = clock.monotonic_ms()
    await clock.sleep_ms(50)
    assert clock.monotonic_ms() - before_ms >= 49
    assert clock.unix_ms() > 1_700_000_000_000


async def check_randomness_is_of_the_size_asked_and_differs() -> None:
    entropy = WebEntropy()
    assert len(entropy.random_bytes(10)) == 10
    assert entropy.random_bytes(16) != entropy.random_bytes(16)
    drawn = [entropy.uniform() for _ in range(200)]
    assert all(0 <= number < 1 for number in drawn) and len(set(drawn)) == 200


CHECKS = [check for name, check in list(globals().items()) if name.startswith("check_")]
