"""`python -m e2e.sample_runs FOLDER`: short runs as Chromium's own MediaRecorder writes them, for tests of the server.

What a pause, another camera and a kill leave can then be checked without a browser. Fake devices, small
pictures: a second is about 15 KB. slices.json holds the sizes of each run's slices, where a kill can cut it.
"""

import base64
import json
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from e2e.chromium import ALWAYS, FAKE_DEVICES
from scripts.find_chromium import find_chromium

# name: width, height, milliseconds of recording, with a pause of as long between two of them
RUNS = {"camera": (320, 240, [1_500]), "other-camera": (640, 480, [1_000]), "paused": (320, 240, [1_000, 1_000])}

_RECORD = """
async ([width, height, parts]) => {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width, height } });
    const options = { mimeType: "video/webm;codecs=vp8,opus", videoBitsPerSecond: 60_000, audioBitsPerSecond: 24_000 };
    const recorder = new MediaRecorder(stream, options);
    const slices = [];
    recorder.ondataavailable = ({ data }) => data.size && slices.push(data);
    const passed = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    recorder.start(100);
    for (const [index, ms] of parts.entries()) {
        if (index) {
            recorder.pause();
            await passed(ms);
            recorder.resume();
        }
        await passed(ms);
    }
    await new Promise((resolve) => { recorder.onstop = resolve; recorder.stop(); });
    for (const track of stream.getTracks()) track.stop();
    const bytes = new Uint8Array(await new Blob(slices).arrayBuffer());
    return [btoa(String.fromCharCode(...bytes)), slices.map(({ size }) => size)];
}
"""


def main(folder: Path) -> None:
    """Record them all anew."""
    sizes = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(find_chromium()), args=[*ALWAYS, *FAKE_DEVICES])
        page = browser.new_page()
        page.route("http://localhost:9/", lambda route: route.fulfill(body="", content_type="text/html"))
        page.goto("http://localhost:9/")  # a browser records only on an address that is secure
        for name, shape in RUNS.items():
            encoded, sizes[name] = page.evaluate(_RECORD, list(shape))
            (folder / f"{name}.webm").write_bytes(base64.b64decode(encoded))
        browser.close()
    (folder / "slices.json").write_text(json.dumps(sizes) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
