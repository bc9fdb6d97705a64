"""The files of a task: a directory of its own, which is removed after the result was sent.

Every method exists twice: to be awaited in an ``async def`` handler, and with the suffix ``_sync`` for a ``def``
handler. File names are relative to the directory; a name outside of it is refused.
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

# More threads do not make a disk faster.
_MAX_THREADS = 8


@dataclasses.dataclass(frozen=True, slots=True)
class FileMetadata:
    """The address of an upload, and its size in bytes."""

    uri: str
    size: int


class TaskFiles:
    """The files of one task. A handler gets them as an argument that is annotated with this class."""

    __slots__ = ("_native",)

    def __init__(self, native: _native.TaskFiles) -> None:
        self._native = native

    # Paths

    async def get_root(self) -> str:
        """Returns the path of the directory, and creates it if necessary."""
        return await _elsewhere(self.get_root_sync)

    def get_root_sync(self) -> str:
        """``get_root`` for ``def`` handlers."""
        return self._native.root()

    async def path_to(self, filename: _Name) -> str:
        """Returns the absolute path of a file, and creates the directories above it if necessary."""
        return await _elsewhere(self.path_to_sync, filename)

    def path_to_sync(self, filename: _Name) -> str:
        """``path_to`` for ``def`` handlers."""
        return self._native.path_to(_text(filename))

    async def exists(self, filename: _Name) -> bool:
        """Returns whether a file or directory of this name exists."""
        return await _elsewhere(self.exists_sync, filename)

    def exists_sync(self, filename: _Name) -> bool:
        """``exists`` for ``def`` handlers."""
        return self._native.exists(_text(filename))

    async def list(self) -> _Names:
        """Returns the names in the directory, in alphabetical order, without the contents of subdirectories."""
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
        """Reads a whole file: as UTF-8 text, or as bytes with the mode ``rb``."""
        return await _elsewhere(self._read, filename, mode)

    @overload
    def read_sync(self, filename: _Name, mode: Literal["r"] = "r") -> str: ...

    @overload
    def read_sync(self, filename: _Name, mode: Literal["rb"]) -> bytes: ...

    def read_sync(self, filename: _Name, mode: str = "r") -> str | bytes:
        """``read`` for ``def`` handlers."""
        return self._read(filename, mode)

    async def write(self, filename: _Name, data: str | bytes, mode: str = "w") -> None:
        """Writes a whole file: text as UTF-8, or bytes with the mode ``wb``. The modes ``a`` and ``ab`` append, ``x`` and
        ``xb`` refuse an existing file. Creates the directories in the name if necessary."""
        await _elsewhere(self.write_sync, filename, data, mode)

    def write_sync(self, filename: _Name, data: str | bytes, mode: str = "w") -> None:
        """``write`` for ``def`` handlers."""
        _check(mode, "w", "a", "x")
        if isinstance(data, str) == ("b" in mode):
            expected = "bytes" if "b" in mode else "text"
            raise TypeError(f"`{_text(filename)}` is opened with the mode `{mode}`, which expects {expected}")
        with self._open(filename, mode) as file:
            file.write(data)

    async def read_json(self, filename: _Name) -> Any:
        """Reads a file of JSON, and returns the decoded value."""
        return await _elsewhere(self.read_json_sync, filename)

    def read_json_sync(self, filename: _Name) -> Any:
        """``read_json`` for ``def`` handlers."""
        return json.loads(self._native.read(_text(filename)))

    async def write_json(self, filename: _Name, data: Any) -> None:
        """Writes data to a file as JSON, converted like the data of a result."""
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
        """Opens a file: ``async with files.open(name, mode) as file``. The methods of ``file`` are awaited. ``mode`` is one
        of Python's ``open``; text is UTF-8."""
        file = AsyncFile(await _elsewhere(self._open, filename, mode))
        try:
            yield file
        finally:
            await asyncio.shield(asyncio.ensure_future(file.close()))

    @contextmanager
    def open_sync(self, filename: _Name, mode: str = "r") -> Iterator[IO[Any]]:
        """``open`` for ``def`` handlers: ``with files.open_sync(name, mode) as file``. ``file`` is an ordinary Python
        file."""
        with self._open(filename, mode) as file:
            yield file

    def _open(self, filename: _Name, mode: str) -> IO[Any]:
        descriptor = self._native.open(_text(filename), mode)
        return os.fdopen(descriptor, mode, encoding=None if "b" in mode else "utf-8")

    # Storage

    async def upload_file(self, filename: _Name) -> FileMetadata:
        """Uploads a file to ``S3_DEFAULT_BUCKET`` at once. Files that a result names are uploaded in any case."""
        return await _elsewhere(self.upload_file_sync, filename)

    def upload_file_sync(self, filename: _Name) -> FileMetadata:
        """``upload_file`` for ``def`` handlers."""
        uri = self._native.upload_file(_text(filename))
        return FileMetadata(uri, os.stat(self.path_to_sync(filename)).st_size)

    async def upload_dir(self, dirname: _Name = "") -> FileMetadata:
        """Uploads all files below a directory at once; without a name, all files of the task."""
        return await _elsewhere(self.upload_dir_sync, dirname)

    def upload_dir_sync(self, dirname: _Name = "") -> FileMetadata:
        """``upload_dir`` for ``def`` handlers."""
        name = _text(dirname)
        uri = self._native.upload_dir(name)
        found = os.walk(self.path_to_sync(name) if name.strip("./") else self.get_root_sync())
        sizes = (os.stat(os.path.join(folder, file)).st_size for folder, _, files in found for file in files)
        return FileMetadata(uri, sum(sizes))

    async def download_file(self, uri: str, filename: _Name, verify_meta: Any = None) -> str:
        """Downloads an object, or all objects below an address that ends in ``/``, and returns the absolute path.

        If ``verify_meta`` has an attribute ``size``, a file of another size raises ``IntegrityMismatchError``.
        """
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
    """An open file whose methods are awaited, so that the disk never blocks the event loop."""

    __slots__ = ("_file",)

    def __init__(self, file: IO[Any]) -> None:
        self._file = file

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self._file.closed

    async def read(self, size: int = -1) -> Any:
        """Reads up to ``size`` characters or bytes, or the rest of the file."""
        return await _elsewhere(self._file.read, size)

    async def readline(self, size: int = -1) -> Any:
        """Reads the next line, including its line end; the result is empty at the end of the file."""
        return await _elsewhere(self._file.readline, size)

    async def readlines(self, hint: int = -1) -> list[Any]:
        """Reads the remaining lines."""
        return await _elsewhere(self._file.readlines, hint)

    async def write(self, data: str | bytes) -> int:
        """Writes text or bytes, and returns their length."""
        return await _elsewhere(self._file.write, data)

    async def writelines(self, lines: Any) -> None:
        """Writes lines, which include their line ends."""
        await _elsewhere(self._file.writelines, list(lines))

    async def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves to a position, and returns it."""
        return await _elsewhere(self._file.seek, offset, whence)

    async def tell(self) -> int:
        """Returns the current position."""
        return await _elsewhere(self._file.tell)

    async def truncate(self, size: int | None = None) -> int:
        """Sets the length of the file to ``size``, or to the current position, and returns it."""
        return await _elsewhere(self._file.truncate, size)

    async def flush(self) -> None:
        """Passes buffered data to the operating system."""
        await _elsewhere(self._file.flush)

    async def close(self) -> None:
        """Closes the file."""
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
        raise TypeError(f"the name of a file must be text, got `{type(text).__name__}`")
    return text


def _check(mode: str, *first: str) -> None:
    """Raises ``ValueError`` for a mode in which a whole file cannot be read or written."""
    if not any(mode in (one, f"{one}b", f"{one}t", f"b{one}") for one in first):
        expected = " or ".join(f"`{one}`" for one in first)
        raise ValueError(f"the mode is `{mode}`, expected {expected}, with `b` for bytes")


# --- Blocking calls run on threads. A forked process gets threads of its own.

_threads: tuple[int, Threads] | None = None


def _own_threads() -> Threads:
    global _threads
    process = os.getpid()
    if _threads is None or _threads[0] != process:
        _threads = (process, Threads(_MAX_THREADS))
    return _threads[1]


async def _elsewhere(call: Callable[..., _Result], *arguments: Any) -> _Result:
    """Makes a call on a thread, since it may block."""
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
            # The loop was closed: nothing waits for the result.
            return

    _own_threads().submit(job)
    return await future
