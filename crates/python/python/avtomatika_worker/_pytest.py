"""The package's pytest fixtures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .testing import DevOrchestrator, LocalS3

__all__ = ["dev_orchestrator", "local_s3"]


@pytest.fixture
def dev_orchestrator() -> Iterator[DevOrchestrator]:
    """An orchestrator for this test, inside the test process."""
    from .testing import DevOrchestrator

    with DevOrchestrator() as orchestrator:
        yield orchestrator


@pytest.fixture
def local_s3() -> Iterator[LocalS3]:
    """An S3 storage for this test, inside the test process."""
    from .testing import LocalS3

    with LocalS3() as storage:
        yield storage
