"""The client's modules in a memory snapshot: imported when the page is built, so that a start imports nothing.

This runs under Pyodide: `freeze`, `install` and `forget` in the process whose memory is taken, `wake` in every
page that starts from it. What is imported later (a snapshot holds no files) is there as compiled code.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import io
import random
import sys
import types
import zipfile
from collections.abc import Sequence
from pathlib import Path

NAME = "frozen_modules"  # under which the page finds this module


class FrozenModules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds and runs the modules of wheels that were read at build time."""

    def __init__(self) -> None:
        self._codes: dict[str, tuple[types.CodeType, bool]] = {}  # by module, with whether it is a package
        self._extensions: dict[str, tuple[str, bytes]] = {}  # by module: path in the wheel, content

    def freeze(self, wheel: bytes) -> None:
        """Compile every module of the wheel."""
        with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
            for path in archive.namelist():
                name = path.split(".", 1)[0].replace("/", ".")
                if path.endswith(".py"):
                    code = compile(archive.read(path), path, "exec", dont_inherit=True)
                    self._codes[name.removesuffix(".__init__")] = code, name.endswith(".__init__")
                elif path.endswith(".so"):
                    self._extensions[name] = path, archive.read(path)

    def install(self, folder: str) -> None:
        """Make the modules importable; `folder` takes the extensions' files."""
        for path, content in self._extensions.values():
            target = Path(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        self._folder = folder
        sys.meta_path.insert(0, self)

    def forget(self) -> None:
        """Drop what nobody will ask for again: the code of what is imported, the extensions' bytes."""
        self._codes = {name: code for name, code in self._codes.items() if name not in sys.modules}
        self._extensions.clear()

    def wake(self) -> None:
        """Draw anew what must differ from one start to the next."""
        random.seed()

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        if name in self._codes:
            code, is_package = self._codes[name]
            return importlib.util.spec_from_loader(name, self, origin=code.co_filename, is_package=is_package)
        if name in self._extensions:
            return importlib.util.spec_from_file_location(name, Path(self._folder, self._extensions[name][0]))
        return None

    def exec_module(self, module: types.ModuleType) -> None:
        """See `importlib.abc.Loader`."""
        exec(self._codes[module.__name__][0], module.__dict__)  # noqa: S102 - this is what a loader is for


modules = FrozenModules()
