"""The application over stores in memory and over real ones, as the routes' tests have it, and a folder to work in."""

from pathlib import Path

import pytest

from tests.server.routes.conftest import memory_stack, real_stack, settings, stack

__all__ = ["folder", "memory_stack", "real_stack", "settings", "stack"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "making"
