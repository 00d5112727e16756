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
    answer = run_script(node, root / "web_build" / "prove_site.mjs", {"site": str(site), "checks": checks})
    assert isinstance(answer, dict)
    return answer
