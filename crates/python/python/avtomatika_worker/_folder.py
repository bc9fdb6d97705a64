"""The files of a task in a test: a temporary directory without an S3 storage."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import _native

__all__ = ["Folder"]


class Folder:
    """Has the methods of ``_native.TaskFiles``. The directory is made when one of them is called."""

    def __init__(self, task_id: str) -> None:
        self._task_id = task_id
        self._made: str | None = None
        self._files: _native.TaskFiles | None = None

    def __getattr__(self, name: str) -> Any:
        if self._files is None:
            from ._standalone import directory

            prefix = f"avtomatika-test-{os.path.basename(self._task_id)}-".replace("\0", "")
            self._made = os.path.realpath(tempfile.mkdtemp(prefix=prefix))
            self._files = directory(self._made)
        return getattr(self._files, name)

    def content(self) -> dict[str, bytes]:
        """Returns the content of all files, by name."""
        found: dict[str, bytes] = {}
        for folder, _, names in os.walk(self._made) if self._made else ():
            for name in names:
                path = os.path.join(folder, name)
                if os.path.isfile(path):
                    with open(path, "rb") as file:
                        found[os.path.relpath(path, self._made).replace(os.sep, "/")] = file.read()
        return found

    def remove(self) -> None:
        if self._made is not None:
            shutil.rmtree(self._made, ignore_errors=True)
