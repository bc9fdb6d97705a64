"""The interpreters that have the existing packages or the real orchestrators installed.

`cargo xtask test` installs them in `target/venvs`, and names that folder in `PEERS`: then none may be missing.
"""

from __future__ import annotations

import os
import pathlib

import pytest

VERSIONS = ("1.0b4", "1.0b20")

_GIVEN = os.environ.get("PEERS")
_FOLDER = pathlib.Path(_GIVEN or pathlib.Path(__file__).parents[3] / "target" / "venvs")


def existing(version: str) -> str:
    """The interpreter with a version of the existing package. Skips the test if it is not installed."""
    return _program(f"existing-{version}")


def orchestrator(version: str) -> str:
    """The interpreter with a version of the real orchestrator. Skips the test if it is not installed."""
    return _program(f"avtomatika-{version}")


def _program(environment: str) -> str:
    # The stamp is written last: if it is missing, the installation was interrupted.
    if not (_FOLDER / environment / "installed").exists():
        missing = f"`{environment}` is not installed; run `cargo xtask setup`"
        if _GIVEN:
            pytest.fail(missing)
        pytest.skip(missing)
    return str(_FOLDER / environment / "bin" / "python")
