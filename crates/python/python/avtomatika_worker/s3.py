"""The S3 storage, for middleware, scripts and tests. In a task, the worker and ``TaskFiles`` transfer files by themselves.

::

    manager = S3Manager(WorkerConfig())
    params = await manager.process_params({"image": "s3://images/cat.png"}, "task-1")
    result, metadata = await manager.process_result({"data": {"thumbnail": "/tmp/payloads/task-1/small.png"}})
    await manager.cleanup("task-1")

Without ``S3_ENDPOINT_URL``, parameters and results are returned unchanged.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import PurePath
from typing import Any, TypeVar

from ._elsewhere import elsewhere
from ._file_errors import IntegrityError
from ._standalone import Storage
from .config import WorkerConfig
from .task_files import FileMetadata, expected

__all__ = ["MAX_S3_CONCURRENCY", "FileMetadata", "IntegrityError", "S3BlobProvider", "S3Manager", "logger"]

logger = logging.getLogger(__name__)

MAX_S3_CONCURRENCY = 50
"""Has no effect: each manager makes at most 8 transfers at once."""

_Result = TypeVar("_Result")


class S3Manager:
    """Downloads the objects that parameters name, and uploads the files that a result names. ``observability`` has a
    span for each of them, and counts those that succeed."""

    def __init__(self, config: WorkerConfig, observability: Any = None) -> None:
        self._config = config
        self._observability = observability
        self._storage = Storage(config)
        self._running: set[asyncio.Future[Any]] = set()

    async def process_params(self, params: Any, task_id: str, metadata: Mapping[str, Any] | None = None) -> Any:
        """Downloads every ``s3://bucket/key`` in the parameters, at any depth, to ``TASK_FILES_DIR/<task_id>/``, and
        returns the parameters with the paths of the files. ``metadata`` has the sizes and ``ETag``s that the objects must
        have, by their places in the parameters, such as ``a.b[0]``, as ``verify_meta`` of ``TaskFiles.download_file`` has them; an object that differs raises
        ``IntegrityError``. A file that is there already is replaced only by the object that this manager fetched to it;
        another object of the same name goes into a directory of its own, such as ``input-2``."""
        native = await elsewhere(self._storage.native)
        places = [(place, text) for place, text in _texts(params) if text.startswith("s3://")]
        if not places or not native.has_storage:
            return params
        wanted: dict[str, dict[str, Any]] = {}
        for index, (place, text) in enumerate(places):
            size, etag = expected((metadata or {}).get(place), text, f"metadata[{place!r}]")
            wanted[f"[{index}]"] = {"uri": text, "size": size, "etag": etag}
        uris = json.dumps([text for _, text in places]).encode()
        call = elsewhere(native.fetch_inputs, task_id, uris, json.dumps(wanted).encode())
        with self._observed("download", [text for _, text in places]):
            paths = json.loads(await self._tracked(call))
        return _replaced(params, dict(zip((text for _, text in places), paths, strict=True)))

    async def process_result(self, result: Any, s3_prefix: str = "") -> tuple[Any, dict[str, FileMetadata]]:
        """Uploads every file and directory below ``TASK_FILES_DIR`` whose path is in the result, at any depth. Returns the
        result with their addresses, and their metadata by their places, such as ``data.a[0]``. Keys begin with
        ``s3_prefix``, by default with the name of the task's directory."""
        native = await elsewhere(self._storage.native)
        if not native.has_storage:
            return result, {}
        root = os.path.abspath(self._config.TASK_FILES_DIR)
        places = [(place, text) for place, text in _texts(result) if _below(root, text)]
        texts = list(dict.fromkeys(text for _, text in places))
        sending = asyncio.gather(*(elsewhere(_send, native, root, text, s3_prefix) for text in texts))
        with self._observed("upload", texts):
            sent = await self._tracked(sending)
        known = {text: one for text, one in zip(texts, sent, strict=True) if one is not None}
        replaced = _replaced(result, {text: one.uri for text, one in known.items()})
        return replaced, {place: known[text] for place, text in places if text in known}

    async def cleanup(self, task_id: str) -> None:
        """Removes the directory of a task with all its files."""
        native = await elsewhere(self._storage.native)
        path = native.path_of_task(task_id)
        await elsewhere(lambda: shutil.rmtree(path, ignore_errors=True))

    async def wait_all_done(self, timeout: float = 30.0) -> None:
        """Waits until all transfers of this manager have ended, at most ``timeout`` seconds."""
        running = {future for future in self._running if not future.done()}
        if running:
            await asyncio.wait(running, timeout=timeout)

    @contextmanager
    def _observed(self, operation: str, texts: Iterable[str]) -> Iterator[None]:
        observability, texts = self._observability, set(texts)
        if observability is None:
            yield
            return
        with ExitStack() as spans:
            for text in texts:
                spans.enter_context(observability.start_s3_span(operation, text))
            yield
        for _ in texts:
            observability.record_s3_op(operation, "success")

    async def _tracked(self, transfer: Awaitable[_Result]) -> _Result:
        future = asyncio.ensure_future(transfer)
        self._running.add(future)
        future.add_done_callback(self._running.discard)
        return await future


class S3BlobProvider:
    """Operations on single objects. An address without ``s3://`` is a key in ``S3_DEFAULT_BUCKET``."""

    def __init__(self, config: WorkerConfig, semaphore: asyncio.Semaphore | None = None) -> None:
        self._config = config
        self._storage = Storage(config)
        self._semaphore = semaphore or asyncio.Semaphore(MAX_S3_CONCURRENCY)

    async def download(self, uri: str, local_path: str) -> bool:
        """Downloads an object to a path. Raises ``FileNotFoundError`` if it does not exist."""
        directory, name = os.path.split(os.path.abspath(local_path))
        await self._call(
            lambda: self._storage.native().directory(directory, "").download_file(self._uri(uri), name, None, None)
        )
        return True

    async def upload(self, local_path: str, uri: str) -> str:
        """Uploads a file, and returns its ``ETag``."""
        _, _, etag = await self._call(
            lambda: self._storage.native().upload(os.path.abspath(local_path), self._uri(uri))
        )
        return etag or ""

    async def delete(self, uri: str) -> bool:
        """Deletes an object. It is no error if it does not exist."""
        await self._call(lambda: self._storage.native().delete(self._uri(uri).rstrip("/")))
        return True

    async def delete_dir(self, uri: str) -> bool:
        """Deletes all objects below an address."""
        await self._call(lambda: self._storage.native().delete(self._uri(uri).rstrip("/") + "/"))
        return True

    async def get_metadata(self, uri: str) -> dict[str, Any] | None:
        """Returns ``uri``, ``size`` and ``etag`` of an object, or None if it does not exist."""
        found = await self._call(lambda: self._storage.native().metadata(self._uri(uri)))
        return None if found is None else dict(zip(("uri", "size", "etag"), found, strict=True))

    async def _call(self, call: Callable[[], _Result]) -> _Result:
        async with self._semaphore:
            return await elsewhere(call)

    def _uri(self, uri: str) -> str:
        return uri if "://" in uri else f"s3://{self._config.S3_DEFAULT_BUCKET}/{uri.lstrip('/')}"


def _below(root: str, text: str) -> tuple[str, ...]:
    """Returns the parts of a path below ``root``; none if it may lead elsewhere or is ``root`` itself."""
    if not text.startswith(root + os.sep):
        return ()
    # Drops `.` and empty parts, and keeps `..`.
    parts = PurePath(text).relative_to(root).parts
    return () if ".." in parts else parts


def _send(native: Any, root: str, text: str, prefix: str) -> FileMetadata | None:
    """Uploads a file or a directory below ``root``; None if there is none of this path."""
    if not os.path.exists(text):
        return None
    task, *names = _below(root, text)
    name = os.path.join("", *names)
    directory = os.path.join(root, task)
    if os.path.isdir(directory):
        files = native.private_directory(directory, prefix or task)
    else:
        # A file that is in no directory of a task.
        name, files = task, native.directory(root, prefix)
    uri, size, etag = files.upload_dir(name) if os.path.isdir(text) else files.upload_file(name)
    return FileMetadata(uri, size or 0, etag)


def _texts(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """All texts in a value, with their places."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for key, member in value.items():
            yield from _texts(member, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list | tuple):
        for index, member in enumerate(value):
            yield from _texts(member, f"{place}[{index}]")


def _replaced(value: Any, texts: Mapping[str, str]) -> Any:
    """Returns the value with other texts. Mappings and lists that have some become new dictionaries and lists."""
    if isinstance(value, str):
        return texts.get(value, value)
    if isinstance(value, Mapping):
        return {key: _replaced(member, texts) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(member, texts) for member in value]
    return value
