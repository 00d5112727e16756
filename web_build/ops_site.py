"""Lays out the operator's page: ops.html, and one folder assets/ops-<hash>/ of its own.

It is no part of the recorder: nothing of it is kept for use without a network, and it needs no Python.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from web_build.refusal import BuildError
from web_build.site import copy_folder, write_references

OPS_BUNDLES: Final = ("ops/ops.js", "ops/ops.css")
INDEX: Final = "ops/index.html"
_ICON: Final = "icons/holdfast.svg"  # the recorder's


def lay_out_ops(site: Path, *, web: Path, bundles: Mapping[str, Path]) -> None:
    """Write ops.html and its folder into `site`. Raises `BuildError`."""
    for name in (INDEX, _ICON):
        if not (web / name).is_file():
            raise BuildError(f"web/{name} is missing.", next_step=f"git checkout web/{name}, then make build")
    sources = {name.removeprefix("ops/"): bundles[name] for name in OPS_BUNDLES}
    folder = copy_folder(site, "ops", sources | {_ICON: web / _ICON})
    page = write_references((web / INDEX).read_text(), site, folder, origin=f"web/{INDEX}")
    (site / "ops.html").write_text(page)
