"""The interpreters that have the existing packages installed, for tests that compare them with this one.

`cargo xtask test` installs them in `target/venvs`, and names that folder in `EXISTING_PACKAGES`: then none may be missing.
"""

from __future__ import annotations

import os
import pathlib

import pytest

VERSIONS = ("1.0b4", "1.0b20")

_GIVEN = os.environ.get("EXISTING_PACKAGES")
_FOLDER = pathlib.Path(_GIVEN or pathlib.Path(__file__).parents[3] / "target" / "venvs")


def existing(version: str) -> str:
    """The interpreter with a version of the existing package. Skips the test if it is not installed."""
    return _program(f"avtomatika-worker-{version}")


def orchestrator(version: str) -> str:
    """The interpreter with a version of the real orchestrator. Skips the test if it is not installed."""
    return _program(f"avtomatika-{version}")


def _program(environment: str) -> str:
    python = _FOLDER / environment / "bin" / "python"
    if not python.exists():
        missing = f"{python} is missing; `cargo xtask setup` installs it"
        if _GIVEN:
            pytest.fail(missing)
        pytest.skip(missing)
    return str(python)
