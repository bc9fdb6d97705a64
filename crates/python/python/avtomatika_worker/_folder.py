"""The files of a task in a test: a directory without an S3 storage."""

from __future__ import annotations

import os
import shutil
import tempfile

from .errors import PermanentError

__all__ = ["Folder"]


class Folder:
    """Stands in for ``_native.TaskFiles``, with a temporary directory that is created on first use."""

    def __init__(self, task_id: str) -> None:
        self._task_id = task_id
        self._made: str | None = None

    def root(self) -> str:
        if self._made is None:
            self._made = os.path.realpath(
                tempfile.mkdtemp(prefix=f"avtomatika-test-{os.path.basename(self._task_id)}-")
            )
        return self._made

    def path_to(self, name: str) -> str:
        path = self._within(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def exists(self, name: str) -> bool:
        return os.path.exists(self._within(name))

    def list(self) -> list[str]:
        return sorted(os.listdir(self.root()))

    def read(self, name: str) -> bytes:
        with open(self._within(name), "rb") as file:
            return file.read()

    def open(self, name: str, mode: str) -> int:
        path = self._within(name) if "r" in mode else self.path_to(name)
        with open(path, mode if "b" in mode else mode.replace("t", "") + "b") as file:
            return os.dup(file.fileno())

    def upload_file(self, name: str) -> str:
        raise self._no_storage()

    def upload_dir(self, name: str) -> str:
        raise self._no_storage()

    def download_file(self, uri: str, name: str) -> str:
        raise self._no_storage()

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

    def _within(self, name: str) -> str:
        root = self.root()
        if "\0" in name:
            raise PermanentError(f"`{name!r}` cannot be the name of a file", details={"type": "unusable_name"})
        path = os.path.realpath(os.path.join(root, name))
        if not path.startswith(root + os.sep):
            raise PermanentError(f"`{name}` is outside the task's directory", details={"type": "security"})
        return os.path.join(root, os.path.relpath(os.path.join(root, name), root))

    def _no_storage(self) -> PermanentError:
        return PermanentError("a test has no storage", details={"type": "no_storage"})
