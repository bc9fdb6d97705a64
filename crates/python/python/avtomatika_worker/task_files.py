"""The files of a task: a directory of its own, removed after its result was sent.

Every method is there twice: to be awaited in an ``async def`` handler, and under the name with ``_sync`` for a ``def``
handler. Names are relative to the directory; none leads out of it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import IO, TYPE_CHECKING, Any, Literal, TypeVar, overload

from ._threads import Threads
from .errors import IntegrityMismatchError

if TYPE_CHECKING:
    from . import _native

__all__ = ["AsyncFile", "FileMetadata", "TaskFiles"]

_Result = TypeVar("_Result")
_Name = str | os.PathLike[str]
# In the class below `list` is a method.
_Names = list[str]

# Disks serve few at once.
_MOST_THREADS = 8


@dataclasses.dataclass(frozen=True, slots=True)
class FileMetadata:
    """What was uploaded: where it is, and its size in bytes."""

    uri: str
    size: int


class TaskFiles:
    """The files of one task. A handler gets it by an argument that is annotated with it."""

    __slots__ = ("_native",)

    def __init__(self, native: _native.TaskFiles) -> None:
        self._native = native

    # Paths

    async def get_root(self) -> str:
        """The directory, which is there when this returns."""
        return await _elsewhere(self.get_root_sync)

    def get_root_sync(self) -> str:
        """``get_root`` for ``def`` handlers."""
        return self._native.root()

    async def path_to(self, filename: _Name) -> str:
        """The whole path to a file. The directory it is in is there when this returns."""
        return await _elsewhere(self.path_to_sync, filename)

    def path_to_sync(self, filename: _Name) -> str:
        """``path_to`` for ``def`` handlers."""
        return self._native.path_to(_text(filename))

    async def exists(self, filename: _Name) -> bool:
        """Whether there is a file or directory of this name."""
        return await _elsewhere(self.exists_sync, filename)

    def exists_sync(self, filename: _Name) -> bool:
        """``exists`` for ``def`` handlers."""
        return self._native.exists(_text(filename))

    async def list(self) -> _Names:
        """The names in the directory, in alphabetical order; what is in directories below is not listed."""
        return await _elsewhere(self.list_sync)

    def list_sync(self) -> _Names:
        """``list`` for ``def`` handlers."""
        return self._native.list()

    # Whole files

    @overload
    async def read(self, filename: _Name, mode: Literal["r"] = "r") -> str: ...

    @overload
    async def read(self, filename: _Name, mode: Literal["rb"]) -> bytes: ...

    async def read(self, filename: _Name, mode: str = "r") -> str | bytes:
        """A whole file: text in UTF-8, or bytes with the mode ``rb``."""
        return await _elsewhere(self._read, filename, mode)

    @overload
    def read_sync(self, filename: _Name, mode: Literal["r"] = "r") -> str: ...

    @overload
    def read_sync(self, filename: _Name, mode: Literal["rb"]) -> bytes: ...

    def read_sync(self, filename: _Name, mode: str = "r") -> str | bytes:
        """``read`` for ``def`` handlers."""
        return self._read(filename, mode)

    async def write(self, filename: _Name, data: str | bytes, mode: str = "w") -> None:
        """Writes text in UTF-8, or bytes with the mode ``wb``; ``a`` and ``ab`` append. Makes the directories that the
        name has."""
        await _elsewhere(self.write_sync, filename, data, mode)

    def write_sync(self, filename: _Name, data: str | bytes, mode: str = "w") -> None:
        """``write`` for ``def`` handlers."""
        _check(mode, "w", "a", "x")
        if isinstance(data, str) == ("b" in mode):
            expected = "bytes" if "b" in mode else "text"
            raise TypeError(f"`{_text(filename)}` is written with the mode `{mode}`, which takes {expected}")
        with self._open(filename, mode) as file:
            file.write(data)

    async def read_json(self, filename: _Name) -> Any:
        """What the JSON in a file says."""
        return await _elsewhere(self.read_json_sync, filename)

    def read_json_sync(self, filename: _Name) -> Any:
        """``read_json`` for ``def`` handlers."""
        return json.loads(self._native.read(_text(filename)))

    async def write_json(self, filename: _Name, data: Any) -> None:
        """Writes data as JSON, converted as the data of a result are."""
        await _elsewhere(self.write_json_sync, filename, data)

    def write_json_sync(self, filename: _Name, data: Any) -> None:
        """``write_json`` for ``def`` handlers."""
        from .outcome import to_json

        self.write_sync(filename, to_json(data), "wb")

    def _read(self, filename: _Name, mode: str) -> str | bytes:
        _check(mode, "r")
        raw = self._native.read(_text(filename))
        return raw if "b" in mode else raw.decode()

    # Open files

    @asynccontextmanager
    async def open(self, filename: _Name, mode: str = "r") -> AsyncIterator[AsyncFile]:
        """``async with files.open(name, mode) as file``: an open file, whose methods are awaited. ``mode`` is as Python's
        ``open`` has it; text is UTF-8."""
        file = AsyncFile(await _elsewhere(self._open, filename, mode))
        try:
            yield file
        finally:
            await asyncio.shield(asyncio.ensure_future(file.close()))

    @contextmanager
    def open_sync(self, filename: _Name, mode: str = "r") -> Iterator[IO[Any]]:
        """``open`` for ``def`` handlers: ``with files.open_sync(name, mode) as file``, which is one of Python's own."""
        with self._open(filename, mode) as file:
            yield file

    def _open(self, filename: _Name, mode: str) -> IO[Any]:
        descriptor = self._native.open(_text(filename), mode)
        return os.fdopen(descriptor, mode, encoding=None if "b" in mode else "utf-8")

    # Storage

    async def upload_file(self, filename: _Name) -> FileMetadata:
        """Uploads a file to ``S3_DEFAULT_BUCKET`` now; what a result names is uploaded without being asked for."""
        return await _elsewhere(self.upload_file_sync, filename)

    def upload_file_sync(self, filename: _Name) -> FileMetadata:
        """``upload_file`` for ``def`` handlers."""
        uri = self._native.upload_file(_text(filename))
        return FileMetadata(uri, os.stat(self.path_to_sync(filename)).st_size)

    async def upload_dir(self, dirname: _Name = "") -> FileMetadata:
        """Uploads all files below a directory now; without a name, all files of the task."""
        return await _elsewhere(self.upload_dir_sync, dirname)

    def upload_dir_sync(self, dirname: _Name = "") -> FileMetadata:
        """``upload_dir`` for ``def`` handlers."""
        name = _text(dirname)
        uri = self._native.upload_dir(name)
        found = os.walk(self.path_to_sync(name) if name.strip("./") else self.get_root_sync())
        sizes = (os.stat(os.path.join(folder, file)).st_size for folder, _, files in found for file in files)
        return FileMetadata(uri, sum(sizes))

    async def download_file(self, uri: str, filename: _Name, verify_meta: Any = None) -> str:
        """Downloads an object, or all below an address that ends in ``/``, and gives the whole path. ``verify_meta`` may
        have the ``size`` that the file has to have."""
        return await _elsewhere(self.download_file_sync, uri, filename, verify_meta)

    def download_file_sync(self, uri: str, filename: _Name, verify_meta: Any = None) -> str:
        """``download_file`` for ``def`` handlers."""
        path = self._native.download_file(uri, _text(filename))
        expected = getattr(verify_meta, "size", None)
        if expected is not None and os.path.isfile(path) and os.stat(path).st_size != expected:
            size = os.stat(path).st_size
            raise IntegrityMismatchError(f"`{uri}` has {size} bytes, expected {expected}")
        return path


class AsyncFile:
    """An open file of Python's whose methods are awaited: the disk never holds up the event loop."""

    __slots__ = ("_file",)

    def __init__(self, file: IO[Any]) -> None:
        self._file = file

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._file.closed

    async def read(self, size: int = -1) -> Any:
        """So much of what follows, or all of it: text, or bytes."""
        return await _elsewhere(self._file.read, size)

    async def readline(self, size: int = -1) -> Any:
        """The next line with its end; empty after the last."""
        return await _elsewhere(self._file.readline, size)

    async def readlines(self, hint: int = -1) -> list[Any]:
        """The lines that follow."""
        return await _elsewhere(self._file.readlines, hint)

    async def write(self, data: str | bytes) -> int:
        """Writes text, or bytes."""
        return await _elsewhere(self._file.write, data)

    async def writelines(self, lines: Any) -> None:
        """Writes lines, which have their ends."""
        await _elsewhere(self._file.writelines, list(lines))

    async def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Goes to a place, and gives it."""
        return await _elsewhere(self._file.seek, offset, whence)

    async def tell(self) -> int:
        """The place it is at."""
        return await _elsewhere(self._file.tell)

    async def truncate(self, size: int | None = None) -> int:
        """Cuts it, at the place it is at or at another."""
        return await _elsewhere(self._file.truncate, size)

    async def flush(self) -> None:
        """Hands what was written to the system."""
        await _elsewhere(self._file.flush)

    async def close(self) -> None:
        """Closes it."""
        await _elsewhere(self._file.close)

    def __aiter__(self) -> AsyncFile:
        return self

    async def __anext__(self) -> Any:
        line = await self.readline()
        if not line:
            raise StopAsyncIteration
        return line


def _text(name: _Name) -> str:
    text = os.fspath(name)
    if not isinstance(text, str):
        raise TypeError(f"a file's name is text, got `{type(text).__name__}`")
    return text


def _check(mode: str, *first: str) -> None:
    """Whether a whole file can be read or written in a mode."""
    if not any(mode in (one, f"{one}b", f"{one}t", f"b{one}") for one in first):
        expected = " or ".join(f"`{one}`" for one in first)
        raise ValueError(f"the mode is `{mode}`, expected {expected}, with `b` for bytes")


# --- The disk is waited for on threads, which are this process's own.

_threads: tuple[int, Threads] | None = None


def _own_threads() -> Threads:
    global _threads
    process = os.getpid()
    if _threads is None or _threads[0] != process:
        _threads = (process, Threads(_MOST_THREADS))
    return _threads[1]


async def _elsewhere(call: Callable[..., _Result], *arguments: Any) -> _Result:
    """Makes a call that may block, on a thread."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_Result] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def job() -> None:
        result, error = None, None
        try:
            result = call(*arguments)
        except BaseException as raised:
            error = raised
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:
            # The loop was closed: nobody waits any more.
            return

    _own_threads().submit(job)
    return await future
