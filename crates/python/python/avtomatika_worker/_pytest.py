"""The package's fixtures, for whoever has pytest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .testing import DevOrchestrator

__all__ = ["dev_orchestrator"]


@pytest.fixture
def dev_orchestrator() -> Iterator[DevOrchestrator]:
    """An orchestrator of the test's own, in the process."""
    from .testing import DevOrchestrator

    with DevOrchestrator() as orchestrator:
        yield orchestrator
