"""The scripts and styles of both pages, each bundled into one file: a page that starts asks for few.

esbuild follows the imports and renames nothing, so what runs in the browser reads as what stands in web/.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from web_build.node_tool import run_script
from web_build.ops_site import OPS_BUNDLES
from web_build.refusal import BuildError
from web_build.site import PAGE_BUNDLES

ENTRIES: Final = PAGE_BUNDLES + OPS_BUNDLES


def bundle(node: Path, *, web: Path, libraries: Mapping[str, Path], node_modules: Path, out: Path) -> dict[str, Path]:
    """The bundles by the names of their entries in `web`, written into `out`.

    `libraries` are the files outside of `web` that may be part of one, by their paths in `node_modules`. Raises
    `BuildError` for any other, for an entry that is missing, and for whatever esbuild refuses.
    """
    for name in ENTRIES:
        if not (web / name).is_file():
            raise BuildError(f"web/{name} is missing.", next_step=f"git checkout web/{name}, then make build")
    request = {
        "web": str(web.resolve()),
        "out": str(out.resolve()),
        "entries": ENTRIES,
        "libraries": str(node_modules.resolve()),
    }
    used = [Path(path) for path in run_script(node, Path(__file__).parent / "bundle.mjs", request)]
    allowed = {path.resolve() for path in libraries.values()}
    for path in used:
        if not path.is_relative_to(web.resolve()) and path.resolve() not in allowed:
            raise BuildError(
                f"web/ imports {path}, which is not pinned.",
                next_step="write its path in node_modules and its SHA-256 into requirements/page-files.txt,"
                " or import something else, then make build",
            )
    return {name: out / name for name in ENTRIES}
