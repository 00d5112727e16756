"""A Chromium that nothing watches: driven over a pipe with the few DevTools calls that a story asks for.

Playwright turns on the DevTools' network log in every page and worker. That log copies each request's body
through the browser and keeps bodies in the page's own process, so that 50 MB of chunks take half a minute
more and the page's memory seems to grow. Stories of much data, and measurements of memory, run here.
"""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from e2e.chromium import ALWAYS, FAKE_DEVICES, kill_all
from e2e.recorder_page import QUICK, READY_LIMIT_S
from tests.integration.processes import descendants_of

ANSWER_LIMIT_S = 60.0
POLL_S = 0.05
# Chromium reads its commands from file 3 and answers on file 4.
_AS_3_AND_4 = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class PlainBrowser:
    """The browser on a profile of its own; `send` is one DevTools call, to the browser or to a session."""

    def __init__(self, executable: str, profile: Path, flags: tuple[str, ...] = FAKE_DEVICES) -> None:
        commands_out, self._commands = os.pipe()
        self._answers, answers_in = os.pipe()
        sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()
        chosen = (f"--user-data-dir={profile}", "--remote-debugging-pipe", "--headless=new", *ALWAYS, *sandbox, *flags)
        arguments = (*chosen, "about:blank")
        self._process = subprocess.Popen(
            [sys.executable, "-c", _AS_3_AND_4, str(commands_out), str(answers_in), executable, *arguments],
            pass_fds=(commands_out, answers_in),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(commands_out)
        os.close(answers_in)
        self._next_id = 1
        self._writing = threading.Lock()
        self._in_worker = ""
        self._waiting: dict[int, queue.Queue[dict[str, Any]]] = {}
        self.workers: dict[str, list[str]] = {}  # sessions of a page's dedicated workers that live, oldest first
        threading.Thread(target=self._listen, name="plain-browser", daemon=True).start()

    @property
    def pid(self) -> int:
        """Of the browser's own process."""
        return self._process.pid

    def send(self, method: str, session: str = "", **parameters: object) -> dict[str, Any]:
        """One call and its result. Raises `AssertionError` with the browser's words where it refuses or is silent."""
        answer = self._tell(method, session, **parameters)
        try:
            said = answer.get(timeout=ANSWER_LIMIT_S)
        except queue.Empty:
            raise AssertionError(f"no answer to {method} within {ANSWER_LIMIT_S:.0f} s") from None
        assert "error" not in said, f"{method}: {said['error']}"
        result: dict[str, Any] = said["result"]
        return result

    def open_page(self, url: str, script: Path | None = None, in_worker: str = "") -> "PlainPage":
        """A page at the address, with a script that runs before its own, and one that runs before its worker's."""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.workers[session] = []
        self._in_worker = in_worker
        self.send("Target.setAutoAttach", session, autoAttach=True, waitForDebuggerOnStart=True, flatten=True)
        self.send("Page.enable", session)
        if script:
            self.send("Page.addScriptToEvaluateOnNewDocument", session, source=script.read_text())
        self.send("Page.navigate", session, url=url)
        return PlainPage(self, session)

    def close(self) -> None:
        """SIGKILL the browser with everything it started."""
        kill_all([self.pid, *descendants_of(self.pid)])
        self._process.wait()
        os.close(self._commands)

    def _tell(self, method: str, session: str, **parameters: object) -> "queue.Queue[dict[str, Any]]":
        """Write one call; the queue will have its answer. Both threads write."""
        with self._writing:
            number, self._next_id = self._next_id, self._next_id + 1
            answer = self._waiting[number] = queue.Queue(1)
            command = {"id": number, "method": method, "params": parameters}
            content = json.dumps(command | ({"sessionId": session} if session else {})).encode() + b"\0"
            while content:
                content = content[os.write(self._commands, content) :]
        return answer

    def _listen(self) -> None:
        rest = b""
        with contextlib.suppress(OSError):
            while piece := os.read(self._answers, 1 << 16):
                *whole, rest = (rest + piece).split(b"\0")
                for message in whole:
                    self._hear(json.loads(message))
        os.close(self._answers)

    def _hear(self, message: dict[str, Any]) -> None:
        if "id" in message:
            self._waiting.pop(message["id"]).put(message)
        elif message["method"] == "Target.attachedToTarget":
            self._attached(message.get("sessionId", ""), message["params"])
        elif message["method"] == "Target.detachedFromTarget":
            for sessions in self.workers.values():
                with contextlib.suppress(ValueError):
                    sessions.remove(message["params"]["sessionId"])

    def _attached(self, page: str, told: dict[str, Any]) -> None:
        """What a page starts waits for these two calls; nobody waits for their answers."""
        session = told["sessionId"]
        if told["waitingForDebugger"]:
            if self._in_worker:
                self._tell("Runtime.evaluate", session, expression=self._in_worker)
            self._tell("Runtime.runIfWaitingForDebugger", session)
        if told["targetInfo"]["type"] == "worker":
            self.workers[page].append(session)


@dataclass
class PlainPage:
    """One page of it with the recorder inside."""

    browser: PlainBrowser
    session: str
    shown: dict[str, str] = field(default_factory=dict)  # the root's data-*, as last looked at, named as in JavaScript

    @property
    def worker(self) -> str:
        """The session of the page's present worker."""
        return self.browser.workers[self.session][-1]

    def evaluate(self, expression: str, session: str = "") -> Any:
        """The value of an expression in the page, or in a worker; a promise is waited for."""
        said = self.browser.send(
            "Runtime.evaluate",
            session or self.session,
            expression=expression,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        assert "exceptionDetails" not in said, said["exceptionDetails"]
        return said["result"].get("value")

    def wait(self, holds: Callable[[dict[str, str]], bool], what: str, limit_s: float = READY_LIMIT_S) -> None:
        """Until it holds of what the page shows. Raises `AssertionError` with what it shows instead."""
        deadline = time.monotonic() + limit_s
        while True:
            self.shown = self.evaluate("({ ...document.body?.dataset })")
            if holds(self.shown):
                return
            assert time.monotonic() < deadline, f"waited {limit_s:.0f} s for: {what}; shown instead: {self.shown}"
            time.sleep(POLL_S)  # the condition decides, not the time

    def press(self, button: str) -> None:
        """Press the button with that data-testid as soon as it is enabled."""
        found = f"""document.querySelector('[data-testid="{button}"]')"""
        click = f"((button) => !button.disabled && (button.click(), true))({found})"
        self.wait(lambda _: bool(self.evaluate(click)), f"{button} to be enabled")

    def record(self, source: str = "microphone") -> str:
        """Press Record; the recording's id."""
        self.press(f"source-{source}")
        self.press("record")
        self.wait(lambda shown: shown.get("state") == "recording", "the recorder to run")
        return self.shown["recordingId"]

    def stop(self) -> None:
        """Press Stop and wait until every slice is saved."""
        self.press("stop")
        self.wait(lambda shown: shown["state"] == "idle", "every slice to be saved")

    def wait_for_row(self, recording_id: str, state: str, limit_s: float) -> None:
        """Until the list shows the recording in that state."""
        row = f"""document.querySelector('[data-testid="recordings"] [data-recording-id="{recording_id}"]')"""
        self.wait(lambda _: self.evaluate(f"{row}?.dataset.state ?? ''") == state, f"the row to be {state}", limit_s)


@contextlib.contextmanager
def plain_recorder(
    executable: str, profile: Path, url: str, script: Path | None = None, in_worker: str = "", **settings: int | str
) -> Iterator[PlainPage]:
    """A browser of its own with the recorder open and Record enabled, for as long as the block lasts."""
    browser = PlainBrowser(executable, profile)
    try:
        page = browser.open_page(f"{url}/?{urlencode(QUICK | settings)}", script, in_worker)
        page.wait(lambda shown: shown.get("state") in ("ready", "idle"), "Record to be enabled")
        yield page
    finally:
        browser.close()
