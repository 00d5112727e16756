"""What a built site must be able to do before it may replace web/dist: run in Node, from its own files alone."""

from pathlib import Path
from typing import Final

from web_build.node_tool import run_script

_IMPORTS: Final = """
import sys

import client_py.main
import client_py.messages
import protocol.wire

# The tests' fakes stay at home.
assert "client_py.testing" not in sys.modules
# A module of the library that nothing of the page imports comes from its file.
assert "plistlib" not in sys.modules
import plistlib
"""

_CODEC: Final = """
import msgspec

from client_py.messages import Boot, Settings
from protocol.wire import RecordingTitle

boot = Boot(epoch=1, settings=Settings(), formats=["audio/webm"], is_online=True)
assert msgspec.json.decode(msgspec.json.encode(boot), type=Boot) == boot
try:
    msgspec.json.decode(b'{"title": 7}', type=RecordingTitle)
except msgspec.ValidationError:
    pass
else:
    raise AssertionError("msgspec took a number for a title")
"""


def prove(site: Path, node: Path, root: Path) -> dict[str, object]:
    """Boot `site` and run every check in it. Raises `BuildError` with Python's own traceback."""
    checks = {"imports.py": _IMPORTS, "codec.py": _CODEC}
    golden = root / "tests" / "golden"
    if golden.is_dir():  # absent where only the product is shipped
        checks["check_golden.py"] = make_golden_check(golden)
    answer = run_script(node, root / "web_build" / "prove_site.mjs", {"site": str(site), "checks": checks})
    assert isinstance(answer, dict)
    return answer


def make_golden_check(golden: Path) -> str:
    """Python source that runs tests/golden/check_golden.py over all its files and raises unless every case holds."""
    program = (golden / "check_golden.py").read_text(encoding="utf-8")
    texts = {path.name: path.read_text(encoding="utf-8") for path in sorted(golden.glob("*.json"))}
    return f"{program}\n\ntexts = {texts!r}\nassert check_all(texts.__getitem__, sorted(texts)) > len(texts)\n"
