"""What a page holds, part by part: the process as the system sees it, and the heaps inside it."""

import os
from dataclasses import dataclass, fields
from pathlib import Path

from e2e.plain_browser import PlainBrowser, PlainPage

# Runs in the worker before anything else: keeps hold of Python's memory, whoever makes it.
WATCH_WASM = """{
    const keep = ({ instance = null, exports } = {}) => {
        const memory = Object.values((instance ?? { exports }).exports ?? {}).find((x) => x instanceof Memory);
        if (memory) self.pythonMemory = memory;
    };
    const { Memory } = WebAssembly;
    WebAssembly.Memory = function (...what) { return (self.pythonMemory = new Memory(...what)); };
    WebAssembly.Memory.prototype = Memory.prototype;
    for (const name of ["instantiate", "instantiateStreaming"]) {
        const native = WebAssembly[name];
        WebAssembly[name] = (...what) => native.apply(WebAssembly, what).then((made) => (keep(made), made));
    }
}"""


@dataclass(frozen=True)
class PageMemory:
    """In MB; the heaps are what is alive after a collection."""

    resident: float  # of the page's process, before that collection
    resident_after: float
    window_heap: float
    worker_heap: float  # the JavaScript in it
    worker_buffers: float  # what its JavaScript holds outside that heap
    python: float  # WebAssembly's memory, which never shrinks
    browser: float  # the browser's own process, which holds the slices' Blobs


def resident_mb(pid: int) -> float:
    """The resident memory of a process, in MB."""
    pages = Path(f"/proc/{pid}/statm").read_text().split()
    return int(pages[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def renderer_of(browser: PlainBrowser) -> int:
    """The page's process: the largest renderer."""
    processes = browser.send("SystemInfo.getProcessInfo")["processInfo"]
    pids: list[int] = [p["id"] for p in processes if p["type"] == "renderer"]
    return max(pids, key=resident_mb)


def measure(page: PlainPage) -> PageMemory:
    """Now."""
    browser, pid = page.browser, renderer_of(page.browser)
    resident = resident_mb(pid)
    for session in (page.session, page.worker):
        browser.send("HeapProfiler.collectGarbage", session)
    window = browser.send("Runtime.getHeapUsage", page.session)
    worker = browser.send("Runtime.getHeapUsage", page.worker)
    return PageMemory(
        resident=resident,
        resident_after=resident_mb(pid),
        window_heap=window["usedSize"] / 1e6,
        worker_heap=worker["usedSize"] / 1e6,
        worker_buffers=worker["backingStorageSize"] / 1e6,
        python=page.evaluate("self.pythonMemory.buffer.byteLength", page.worker) / 1e6,
        browser=resident_mb(browser.pid),
    )


def slopes(measured: list[PageMemory], minutes: float) -> PageMemory:
    """MB a minute of recording, part by part, by least squares; the measurements lie `minutes` apart."""
    middle = (len(measured) - 1) / 2
    spread = sum((n - middle) ** 2 for n in range(len(measured))) * minutes
    return PageMemory(
        *(
            sum((n - middle) * getattr(one, part.name) for n, one in enumerate(measured)) / spread
            for part in fields(PageMemory)
        )
    )
