"""Lays out the operator's page: ops.html, and one folder assets/ops-<hash>/ of its own.

It is no part of the recorder: nothing of it is kept for use without a network, and it needs no Python.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from web_build.refusal import BuildError
from web_build.site import copy_folder, integrity_of

ENTRY_SCRIPT: Final = "ops.js"
# What it takes from the recorder's page, so that both look alike.
_SHARED: Final = ("styles/tokens.css", "styles/base.css", "icons/holdfast.svg")
_REFERENCE: Final = re.compile(r'(?P<attribute>href|src)="(?P<name>[^":#?]+)"')


def ops_sources(web: Path) -> dict[str, Path]:
    """The files that the page is made of, by their names in its folder."""
    own = {
        path.relative_to(web / "ops").as_posix(): path for path in sorted((web / "ops").rglob("*")) if path.is_file()
    }
    return {name: web / name for name in _SHARED} | own


def lay_out_ops(site: Path, *, web: Path, libraries: Mapping[str, Path]) -> None:
    """Write ops.html and its folder into `site`. Raises `BuildError`."""
    sources = ops_sources(web)
    index = sources.pop("index.html", None)
    missing = [name for name in (*_SHARED, ENTRY_SCRIPT) if name not in sources or not sources[name].is_file()]
    if index is None or missing:
        name = missing[0] if missing else "index.html"
        raise BuildError(f"web/ops needs {name}, which is missing.", next_step="git checkout web, then make build")
    folder = copy_folder(site, "ops", sources | {f"lib/{name}": path for name, path in libraries.items()})

    def rewrite(match: re.Match[str]) -> str:
        name = match["name"]
        if not (site / folder / name).is_file():
            raise BuildError(
                f"web/ops/index.html refers to {name}, which its folder does not hold.",
                next_step="correct the name in web/ops/index.html, then make build",
            )
        is_checked = name.endswith((".css", ".js"))
        digest = f' integrity="{integrity_of(site / folder / name)}"' if is_checked else ""
        return f'{match["attribute"]}="{folder}/{name}"{digest}'

    page = _REFERENCE.sub(rewrite, index.read_text())
    # Imported modules are loaded ahead by links, because only a link can carry their digest.
    scripts = sorted(path for path in (site / folder).rglob("*.js") if path.name != ENTRY_SCRIPT)
    links = [
        f'<link rel="modulepreload" href="{path.relative_to(site).as_posix()}" integrity="{integrity_of(path)}">'
        for path in scripts
    ]
    (site / "ops.html").write_text(page.replace("  </head>", "    " + "\n    ".join(links) + "\n  </head>"))
