"""The browser's adapters on the real thing: Chromium's OPFS, Web Locks, fetch and channels, in a worker."""

from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page

from e2e.page.built_site import ROOT, run_in_worker
from e2e.page.site_server import SiteServer, serving
from tests.contracts import file_tree_contract, locks_contract

HERE = Path(__file__).parent
MODULES = {
    "file_tree_contract": ROOT / "tests" / "contracts" / "file_tree_contract.py",
    "locks_contract": ROOT / "tests" / "contracts" / "locks_contract.py",
    "adapter_checks": HERE / "adapter_checks.py",
}
# Every check runs in one worker, so that the runtime boots once; each is then its own test by its outcome.
RUN_ALL = """
import json
import traceback

import adapter_checks
import file_tree_contract
import locks_contract
from client_py.browser.opfs_file_tree import OpfsFileTree
from client_py.browser.web_locks import WebLocks

outcomes = {}

async def run(checks, *parameters):
    for check in checks:
        try:
            await check(*parameters)
            outcomes[check.__name__] = ""
        except BaseException:
            outcomes[check.__name__] = traceback.format_exc()

await run(file_tree_contract.CHECKS, OpfsFileTree)
await run(locks_contract.CHECKS, WebLocks)
await run(adapter_checks.CHECKS)
json.dumps(outcomes)
"""
# adapter_checks imports what exists only in the browser, so its names are read, not imported.
ADAPTER_CHECKS = [
    line.split("(")[0].removeprefix("async def ")
    for line in MODULES["adapter_checks"].read_text().splitlines()
    if line.startswith("async def check_")
]
ALL_CHECKS = [check.__name__ for check in file_tree_contract.CHECKS + locks_contract.CHECKS] + ADAPTER_CHECKS


@pytest.fixture(scope="module")
def outcomes(browser: BrowserContext, built_site: Path) -> dict[str, str]:
    """The traceback of each check, empty where it passed."""
    page = browser.new_page()
    with serving(built_site) as site:
        answer: dict[str, str] = run_in_worker(page, site, MODULES, RUN_ALL)
    page.close()
    return answer


@pytest.mark.parametrize("check", ALL_CHECKS)
def test_the_adapter_keeps_its_contract_in_chromium(outcomes: dict[str, str], check: str) -> None:
    assert outcomes[check] == ""


def test_a_quota_that_is_used_up_is_a_full_storage_and_takes_nothing_back(page: Page, site: SiteServer) -> None:
    _set_quota(page, site, 3_000_000)
    outcome = run_in_worker(page, site, {}, _FILL_UP)
    # What had been taken before is still there, and the torn write is not.
    assert outcome["error"] == "StorageFullError"
    assert outcome["size_after"] == outcome["size_before"] > 0
    assert outcome["is_intact"] is True
    assert outcome["took_less"] is True


_FILL_UP = """
import json

from client_py.browser.opfs_file_tree import OpfsFileTree
from client_py.ports import PortError

tree = OpfsFileTree()
await tree.create_folder("full")
file = await tree.create_file("full", "segment")
block = bytes(range(256)) * 1024
outcome = {"error": ""}
for _ in range(64):
    outcome["size_before"] = file.size
    try:
        file.append(block)
        file.flush()
    except PortError as error:
        outcome["error"] = type(error).__name__
        break
outcome["size_after"] = file.size
whole = await tree.read("full", "segment", 0, 64 * len(block))
outcome["is_intact"] = whole == block * (file.size // len(block))
try:
    file.append(b"small record")
    file.flush()
    outcome["took_less"] = (await tree.read("full", "segment", file.size - 12, 12)) == b"small record"
except PortError as error:
    outcome["took_less"] = type(error).__name__ == "StorageFullError"
json.dumps(outcome)
"""


def test_a_count_that_is_not_the_length_asked_is_a_full_storage(page: Page, site: SiteServer) -> None:
    outcome = run_in_worker(page, site, {}, _COUNTS)
    assert outcome == [["StorageFullError", 4]] * 3 + ["", "kepttail"]


# A full disk answers with a short count, or with -8 as an unsigned number, and throws nothing.
_COUNTS = """
import json

import js
from client_py.browser.opfs_file_tree import OpfsFileTree
from client_py.ports import PortError
from pyodide.ffi import create_proxy

tree = OpfsFileTree()
await tree.create_folder("counts")
file = await tree.create_file("counts", "segment")
file.append(b"kept")
prototype = js.FileSystemSyncAccessHandle.prototype
native = prototype.write
outcome = []
for count in (3, 0, 4294967288):
    fake = create_proxy(lambda *_, count=count: count)
    prototype.write = fake
    try:
        file.append(b"tail")
    except PortError as error:
        outcome.append([type(error).__name__, file.size])
    fake.destroy()
prototype.write = native
file.append(b"tail")
outcome += ["", (await tree.read("counts", "segment", 0, 100)).decode()]
json.dumps(outcome)
"""


def test_a_file_that_is_refused_for_want_of_room_is_refused_at_once(page: Page, site: SiteServer) -> None:
    assert run_in_worker(page, site, {}, _NO_ROOM) == "StorageFullError"


# As Chromium says it: its error is of a class below DOMException, and without a stack.
_NO_ROOM = """
import asyncio
import json

import js
from client_py.browser.opfs_file_tree import OpfsFileTree
from client_py.ports import PortError

tree = OpfsFileTree()
await tree.create_folder("no-room")
kind = getattr(js, "QuotaExceededError", None)
error = kind.new("no room") if kind else js.DOMException.new("no room", "QuotaExceededError")
# Bound in JavaScript: a promise that passes through Python is a Future of Python's own.
js.FileSystemFileHandle.prototype.createSyncAccessHandle = js.Promise.reject.bind(js.Promise, error)
try:
    await asyncio.wait_for(tree.create_file("no-room", "ballast"), 10)
    outcome = "no error"
except (PortError, TimeoutError) as refused:
    outcome = type(refused).__name__
json.dumps(outcome)
"""


def test_storage_that_the_browser_refuses_is_said_to_be_blocked(page: Page, site: SiteServer) -> None:
    outcome = run_in_worker(page, site, {}, _REFUSALS)
    assert outcome == dict.fromkeys(outcome, "StorageBlockedError") and len(outcome) == 5


# As private windows of Firefox and of Safari, a browser whose policy forbids it, one whose file system cannot be
# written in place, and one without the private file system.
_REFUSALS = """
import json

import js
from client_py.browser.opfs_file_tree import OpfsFileTree
from client_py.ports import PortError

async def probe():
    try:
        await OpfsFileTree().probe()
        return "no error"
    except PortError as error:
        return type(error).__name__

outcome = {}
manager, native = js.StorageManager.prototype, js.StorageManager.prototype.getDirectory
for name in ("SecurityError", "UnknownError", "NotAllowedError"):
    manager.getDirectory = js.Promise.reject.bind(js.Promise, js.DOMException.new("refused", name))
    outcome[name] = await probe()
manager.getDirectory = native
js.Reflect.deleteProperty(js.FileSystemFileHandle.prototype, "createSyncAccessHandle")
outcome["no synchronous access"] = await probe()
js.Reflect.deleteProperty(manager, "getDirectory")
outcome["no private file system"] = await probe()
json.dumps(outcome)
"""


def test_handed_over_bytes_cross_beside_their_message(page: Page, site: SiteServer) -> None:
    assert run_in_worker(page, site, {}, _HAND_OVER) == ["held", 3, "audio/webm", True, "Uint8Array", True]


_HAND_OVER = """
import asyncio
import json

import js
from client_py.browser.window_port import WindowPort
from client_py.messages import Held
from pyodide.ffi import create_proxy

channel = js.MessageChannel.new()
heard = asyncio.get_running_loop().create_future()
listener = create_proxy(lambda event: heard.set_result(event.data))
channel.port2.onmessage = listener
content = bytes(range(256)) * 4096
WindowPort(channel.port1).post(
    Held(recording_id="r", chunk_index=3, run=1, mime_type="audio/webm", is_sound=True, content=content)
)
message = await asyncio.wait_for(heard, 30)
outcome = [message.type, message.chunkIndex, message.mimeType, message.isSound]
outcome += [message.content.constructor.name, message.content.to_bytes() == content]
listener.destroy()
channel.port1.close()
json.dumps(outcome)
"""


def _set_quota(page: Page, site: SiteServer, quota_bytes: int) -> None:
    session = page.context.new_cdp_session(page)
    session.send("Storage.overrideQuotaForOrigin", {"origin": site.url, "quotaSize": quota_bytes})
