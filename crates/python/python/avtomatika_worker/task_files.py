"""The files of a task: a directory of its own, which is removed after the result was sent.

``TaskFiles(path)`` has the same methods for any directory, which is not removed: for unit tests of handlers, and scripts.

Every method exists twice: to be awaited in an ``async def`` handler, and with the suffix ``_sync`` for a ``def``
handler. File names are relative to the directory; a name outside of it is refused.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import reprlib
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import IO, TYPE_CHECKING, Any, Literal, overload

from ._elsewhere import elsewhere
from ._file_errors import NoStorageError
from .models import FileMetadata

if TYPE_CHECKING:
    from . import _native

__all__ = ["AsyncFile", "FileMetadata", "TaskFiles"]

_Name = str | os.PathLike[str]
# In the class below `list` is a method.
_Names = list[str]


class TaskFiles:
    """The files of one task. A handler gets them as an argument that is annotated with this class.

    Outside of a worker, ``TaskFiles(path)`` are the files in a directory, which is made on first use and never removed.
    With an ``S3Manager`` they can be uploaded and downloaded; the keys of uploads begin with ``task_id``, else ``job_id``,
    else the name of the directory.
    """

    def __init__(
        self,
        task_dir: _Name | _native.TaskFiles,
        job_id: object = "",
        task_id: str = "",
        s3_manager: Any = None,
        observability: Any = None,
    ) -> None:
        if not isinstance(task_dir, str | os.PathLike):
            # The worker hands in the files of a task.
            self._native = task_dir
            return
        if not isinstance(job_id, str):
            # The manager is the second argument in 1.0b4, and the fourth in 1.0b20.
            job_id, s3_manager = "", s3_manager or job_id
        from ._standalone import directory

        path = os.path.abspath(_text(task_dir))
        self._native = directory(path, task_id or job_id or os.path.basename(path), s3_manager)

    # Paths

    async def get_root(self) -> str:
        """Returns the path of the directory, and creates it if necessary."""
        return await elsewhere(self.get_root_sync)

    def get_root_sync(self) -> str:
        """``get_root`` for ``def`` handlers."""
        return self._native.root()

    async def path_to(self, filename: _Name) -> str:
        """Returns the absolute path of a file, and creates the directories above it if necessary."""
        return await elsewhere(self.path_to_sync, filename)

    def path_to_sync(self, filename: _Name) -> str:
        """``path_to`` for ``def`` handlers."""
        return self._native.path_to(_text(filename))

    async def exists(self, filename: _Name) -> bool:
        """Returns whether a file or directory of this name exists."""
        return await elsewhere(self.exists_sync, filename)

    def exists_sync(self, filename: _Name) -> bool:
        """``exists`` for ``def`` handlers."""
        return self._native.exists(_text(filename))

    async def list(self) -> _Names:
        """Returns the names in the directory, in alphabetical order, without the contents of subdirectories."""
        return await elsewhere(self.list_sync)

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
        return await elsewhere(self._read, filename, mode)

    @overload
    def read_sync(self, filename: _Name, mode: Literal["r"] = "r") -> str: ...

    @overload
    def read_sync(self, filename: _Name, mode: Literal["rb"]) -> bytes: ...

    def read_sync(self, filename: _Name, mode: str = "r") -> str | bytes:
        """``read`` for ``def`` handlers."""
        return self._read(filename, mode)

    async def write(self, filename: _Name, data: str | bytes, mode: str = "w") -> str:
        """Writes a whole file, and returns its path: text as UTF-8, or bytes with the mode ``wb``. The modes ``a`` and
        ``ab`` append, ``x`` and ``xb`` refuse an existing file. Creates the directories in the name if necessary."""
        return await elsewhere(self.write_sync, filename, data, mode)

    def write_sync(self, filename: _Name, data: str | bytes, mode: str = "w") -> str:
        """``write`` for ``def`` handlers."""
        if not set(mode) & set("wax+"):
            raise _unsupported(mode, "writable")
        if isinstance(data, str) == ("b" in mode):
            expected = "bytes" if "b" in mode else "text"
            raise TypeError(f"`{_text(filename)}` is opened with the mode `{mode}`, which expects {expected}")
        with self._open(filename, mode) as file:
            file.write(data)
        return self.path_to_sync(filename)

    async def read_json(self, filename: _Name) -> Any:
        """Reads a file of JSON, and returns the decoded value."""
        return await elsewhere(self.read_json_sync, filename)

    def read_json_sync(self, filename: _Name) -> Any:
        """``read_json`` for ``def`` handlers."""
        return json.loads(self._native.read(_text(filename)))

    async def write_json(self, filename: _Name, data: Any) -> FileMetadata | None:
        """Writes data to a file as JSON, indented by two spaces; what is not JSON is converted like the data of a result.
        If there is a storage, uploads the file and returns its metadata."""
        return await elsewhere(self.write_json_sync, filename, data)

    def write_json_sync(self, filename: _Name, data: Any) -> FileMetadata | None:
        """``write_json`` for ``def`` handlers."""
        self.write_sync(filename, _json(data), "wb")
        try:
            return self.upload_file_sync(filename)
        except NoStorageError:
            return None

    def _read(self, filename: _Name, mode: str) -> str | bytes:
        if mode in ("r", "rt", "rb", "br"):
            raw = self._native.read(_text(filename))
            return raw if "b" in mode else io.TextIOWrapper(io.BytesIO(raw), "utf-8").read()
        if not set(mode) & set("r+"):
            raise _unsupported(mode, "readable")
        with self._open(filename, mode) as file:
            content: str | bytes = file.read()
            return content

    # Open files

    @asynccontextmanager
    async def open(self, filename: _Name, mode: str = "r") -> AsyncIterator[AsyncFile]:
        """Opens a file: ``async with files.open(name, mode) as file``. The methods of ``file`` are awaited. ``mode`` is one
        of Python's ``open``; text is UTF-8."""
        file = AsyncFile(await elsewhere(self._open, filename, mode))
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
        name = _text(filename)
        # Only for the attribute `name`: the core opens the file, or refuses the name.
        path = os.path.join(self._native.root(), name).replace("\0", "\\0")
        encoding = None if "b" in mode else "utf-8"
        return open(path, mode, encoding=encoding, opener=lambda *_: self._native.open(name, mode))

    # Storage

    async def upload_file(self, filename: _Name) -> FileMetadata:
        """Uploads a file to ``S3_DEFAULT_BUCKET`` at once. Files that a result names are uploaded in any case."""
        return await elsewhere(self.upload_file_sync, filename)

    def upload_file_sync(self, filename: _Name) -> FileMetadata:
        """``upload_file`` for ``def`` handlers."""
        return _metadata(self._native.upload_file(_text(filename)))

    async def upload_dir(self, dirname: _Name = "") -> FileMetadata:
        """Uploads all files below a directory at once; without a name, all files of the task."""
        return await elsewhere(self.upload_dir_sync, dirname)

    def upload_dir_sync(self, dirname: _Name = "") -> FileMetadata:
        """``upload_dir`` for ``def`` handlers."""
        return _metadata(self._native.upload_dir(_text(dirname)))

    async def download_file(self, uri: str, filename: _Name, verify_meta: Any = None) -> str:
        """Downloads an object, or all objects below an address that ends in ``/``, and returns the absolute path. A file of
        this name is replaced once the download is complete.

        ``verify_meta`` has the ``size`` and the ``etag`` that the object must have, as attributes or keys; None is not
        checked. An object that differs raises ``IntegrityMismatchError``, and is not written. For an address that ends in
        ``/``, ``size`` is the sum of the sizes, and ``etag`` is not checked, with a warning in the log: only single objects
        have one. A ``size`` that is no number of bytes raises ``ValueError``.
        """
        return await elsewhere(self.download_file_sync, uri, filename, verify_meta)

    def download_file_sync(self, uri: str, filename: _Name, verify_meta: Any = None) -> str:
        """``download_file`` for ``def`` handlers."""
        return self._native.download_file(uri, _text(filename), *expected(verify_meta, uri))


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
        return await elsewhere(self._file.read, size)

    async def readline(self, size: int = -1) -> Any:
        """Reads the next line, including its line end; the result is empty at the end of the file."""
        return await elsewhere(self._file.readline, size)

    async def readlines(self, hint: int = -1) -> list[Any]:
        """Reads the remaining lines."""
        return await elsewhere(self._file.readlines, hint)

    async def write(self, data: str | bytes) -> int:
        """Writes text or bytes, and returns their length."""
        return await elsewhere(self._file.write, data)

    async def writelines(self, lines: Any) -> None:
        """Writes lines, which include their line ends."""
        await elsewhere(self._file.writelines, list(lines))

    async def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves to a position, and returns it."""
        return await elsewhere(self._file.seek, offset, whence)

    async def tell(self) -> int:
        """Returns the current position."""
        return await elsewhere(self._file.tell)

    async def truncate(self, size: int | None = None) -> int:
        """Sets the length of the file to ``size``, or to the current position, and returns it."""
        return await elsewhere(self._file.truncate, size)

    async def flush(self) -> None:
        """Passes buffered data to the operating system."""
        await elsewhere(self._file.flush)

    async def close(self) -> None:
        """Closes the file."""
        await elsewhere(self._file.close)

    def __getattr__(self, name: str) -> Any:
        """Everything else that an open file of Python has. What may block is awaited."""
        value = getattr(self._file, name)
        if name not in _AWAITED:
            return value

        async def method(*arguments: Any) -> Any:
            return await elsewhere(value, *arguments)

        return method

    def __aiter__(self) -> AsyncFile:
        return self

    async def __anext__(self) -> Any:
        line = await self.readline()
        if not line:
            raise StopAsyncIteration
        return line


# The further methods of open files that are awaited, as `aiofiles` has them.
_AWAITED = frozenset(("isatty", "read1", "readable", "readinto", "reconfigure", "seekable", "writable"))


def expected(metadata: Any, uri: str, place: str = "verify_meta") -> tuple[int | None, str | None]:
    """Returns the size and the ``ETag`` in the metadata of a file: a mapping or an object. ``place`` is named in errors."""
    if isinstance(metadata, Mapping):
        size, etag = metadata.get("size"), metadata.get("etag")
    else:
        size, etag = getattr(metadata, "size", None), getattr(metadata, "etag", None)
    if etag and uri.endswith("/"):
        from ._logging import LOG

        LOG.once(
            "the `etag` in the metadata of an address that ends in `/` is not checked: only single objects have one"
        )
    return None if size is None else _size(size, place), None if etag is None else str(etag)


def _size(size: Any, place: str) -> int:
    try:
        number = int(size)
        # Texts may have digits; anything else must not be rounded.
        if 0 <= number < 1 << 64 and (isinstance(size, str) or number == size):
            return number
    except (TypeError, ValueError, OverflowError):
        pass
    shown = reprlib.repr(size)
    raise ValueError(
        f"`size` in `{place}` is `{shown}`, expected the number of bytes: a whole number from 0 to 2**64 - 1"
    )


def _metadata(sent: tuple[str, int | None, str | None]) -> FileMetadata:
    uri, size, etag = sent
    return FileMetadata(uri, size or 0, etag)


def _json(data: Any) -> bytes:
    from . import _native
    from .outcome import _converted, to_json

    def encoded(is_ascii: bool) -> bytes:
        text = json.dumps(data, ensure_ascii=is_ascii, separators=(",", ":"), default=_converted)
        return _native.indented(text.encode())

    try:
        return encoded(False)
    except UnicodeEncodeError:
        # Half of a surrogate pair can only be written escaped.
        return encoded(True)
    except TypeError:
        try:
            to_json(data)
        except ValueError as error:
            # It names the place.
            raise TypeError(str(error)) from None
        raise


def _text(name: _Name) -> str:
    text = os.fspath(name)
    if not isinstance(text, str):
        raise TypeError(f"the name of a file must be text, got `{type(text).__name__}`")
    return text


def _unsupported(mode: str, what: str) -> ValueError:
    """Returns the error for a mode in which a file cannot be read or written, as for an open file of this mode."""
    return io.UnsupportedOperation(f"the mode is `{mode}`, in which a file is not {what}")
