"""The page's files: types, caching, compressed twins, and the one address it lives at."""

import gzip
from pathlib import Path

import pytest

from server.settings import Settings
from tests.server.routes.asgi_call import call
from tests.server.routes.problem_of import problem_of
from tests.server.stack import Stack

IMMUTABLE = "public, max-age=31536000, immutable"


@pytest.fixture
def dist(settings: Settings) -> Path:
    """A built page."""
    folder = settings.web_dir
    assets = folder / "assets" / "page-0123"
    assets.mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html>the page")
    (folder / "sw.js").write_text("// service worker")
    (assets / "main.mjs").write_text("export {}")
    (assets / "main.mjs.gz").write_bytes(gzip.compress(b"export {}"))
    (assets / "python.wasm").write_bytes(b"\0asm")
    (assets / "python.wasm.br").write_bytes(b"brotli")
    (assets / ".hidden").write_text("secret")
    (folder.parent / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(folder.parent / "secret.txt")
    return folder


@pytest.mark.parametrize(
    ("path", "media_type", "cache_control"),
    [
        ("/", "text/html; charset=utf-8", "no-cache"),
        ("/index.html", "text/html; charset=utf-8", "no-cache"),
        ("/sw.js", "text/javascript; charset=utf-8", "no-cache"),
        ("/assets/page-0123/main.mjs", "text/javascript; charset=utf-8", IMMUTABLE),
        ("/assets/page-0123/python.wasm", "application/wasm", IMMUTABLE),
    ],
)
async def test_a_file_goes_with_its_type_and_caching(
    memory_stack: Stack, dist: Path, path: str, media_type: str, cache_control: str
) -> None:
    response = await memory_stack.client.get(path, headers={"Accept-Encoding": "identity"})
    assert response.status_code == 200
    assert response.headers["content-type"] == media_type
    assert response.headers["cache-control"] == cache_control
    assert "worker-src 'self'" in response.headers["content-security-policy"]
    name = "index.html" if path == "/" else path[1:]
    assert response.content == (dist / name).read_bytes()
    assert (await memory_stack.client.head(path)).status_code == 200


async def test_a_compressed_twin_goes_to_who_takes_it(memory_stack: Stack, dist: Path) -> None:
    async def get(name: str, accept: str) -> tuple[str, str, bytes]:
        path = f"/assets/page-0123/{name}"
        answer = await call(memory_stack.app, "GET", path, {"Accept-Encoding": accept}, [])
        return answer.headers.get("content-encoding", ""), answer.headers["content-type"], answer.body

    assert await get("python.wasm", "gzip, deflate, br") == ("br", "application/wasm", b"brotli")
    assert await get("python.wasm", "gzip, br;q=0") == ("", "application/wasm", b"\0asm")
    encoding, media_type, body = await get("main.mjs", "gzip, deflate, br")
    assert (encoding, media_type) == ("gzip", "text/javascript; charset=utf-8")
    assert gzip.decompress(body) == b"export {}"


async def test_an_unchanged_file_is_not_sent_again(memory_stack: Stack, dist: Path) -> None:
    first = await memory_stack.client.get("/")
    again = await memory_stack.client.get("/", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    (dist / "index.html").write_text("<!doctype html>a new build")
    changed = await memory_stack.client.get("/", headers={"If-None-Match": first.headers["etag"]})
    assert changed.status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../../secret.txt",
        "/assets/%2e%2e/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/assets/page-0123/.hidden",
        "/assets//etc/passwd",
        "/assets/%00",
        "/assets/page-0123",
        "/assets/",
        "/assets",
        "/link.txt",
    ],
)
async def test_nothing_outside_the_page_is_served(memory_stack: Stack, dist: Path, path: str) -> None:
    answer = await call(memory_stack.app, "GET", path, {"Host": "localhost:3000"}, [])
    assert answer.status == 404
    assert b"secret" not in answer.body.replace(b"secret.txt", b"")


@pytest.mark.parametrize("host", ["127.0.0.1:3000", "[::1]:3000", "localhost", "localhost:3001", "evil.example"])
async def test_the_page_lives_at_one_address_and_the_api_answers_on_all(
    memory_stack: Stack, dist: Path, host: str
) -> None:
    response = await memory_stack.client.get("/?slice_ms=100", headers={"Host": host})
    assert (response.status_code, response.headers["location"]) == (307, "http://localhost:3000/?slice_ms=100")
    assert (await memory_stack.client.get("/api/health/live", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize("host", ["localhost:3000", "LOCALHOST:3000"])
async def test_the_public_address_is_served(memory_stack: Stack, dist: Path, host: str) -> None:
    assert (await memory_stack.client.get("/", headers={"Host": host})).status_code == 200


async def test_a_page_that_is_not_built_says_what_to_run(memory_stack: Stack) -> None:
    response = await memory_stack.client.get("/")
    assert response.status_code == 503
    assert "make build" in response.text
    assert problem_of(await memory_stack.client.get("/sw.js")).code == "not-found"
