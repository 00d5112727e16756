"""The golden files hold under the page's own Python: the built site's Pyodide and wheels, booted in Node."""

from pathlib import Path

import pytest

from web_build.node_tool import find_node, run_script

ROOT = Path(__file__).resolve().parent.parent.parent
GOLDEN = ROOT / "tests" / "golden"
SITE = ROOT / "web" / "dist"


def make_check(texts: dict[str, str]) -> str:
    """Python source that runs check_golden over `texts` and raises unless every case holds."""
    program = (GOLDEN / "check_golden.py").read_text(encoding="utf-8")
    return f"{program}\n\ntexts = {texts!r}\nassert check_all(texts.__getitem__, sorted(texts)) > {len(texts)}\n"


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    if not (SITE / "index.html").is_file():
        pytest.fail("web/dist is not built; run `make build`, or `make test`, which builds it")
    return {path.name: path.read_text(encoding="utf-8") for path in GOLDEN.glob("*.json")}


def test_the_pages_python_reads_the_golden_files_as_the_server_does(texts: dict[str, str]) -> None:
    request = {"site": str(SITE), "checks": {"check_golden.py": make_check(texts)}}
    answer = run_script(find_node(), ROOT / "web_build" / "prove_site.mjs", request)
    assert answer["checks"] == ["check_golden.py"]


def test_a_lie_is_noticed_there_too(texts: dict[str, str]) -> None:
    lying = {**texts, "ids.json": texts["ids.json"].replace('"chunk_id": "a"', '"chunk_id": "b"')}
    request = {"site": str(SITE), "checks": {"check_golden.py": make_check(lying)}}
    with pytest.raises(Exception, match=r"ids\.json: b is kept under"):
        run_script(find_node(), ROOT / "web_build" / "prove_site.mjs", request)
