"""The files of a task, in both kinds of handlers."""

import asyncio
import dataclasses
import io
import json
import os
import pathlib
import threading

import pytest
from avtomatika_worker import TaskFiles, Worker
from avtomatika_worker._file_errors import UnusableNameError
from avtomatika_worker.errors import IntegrityMismatchError
from avtomatika_worker.outcome import encode
from avtomatika_worker.task_files import AsyncFile, FileMetadata
from support import LIMIT


@pytest.fixture
def worker(tmp_path):
    made = Worker(worker_type="files")
    made.config.TASK_FILES_DIR = tmp_path
    return made


def ran(worker, dev_orchestrator, params=None):
    with dev_orchestrator.running(worker):
        return dev_orchestrator.run("work", params)


def left(directory):
    """The entries of the directory that are not the worker's own."""
    return [path for path in directory.iterdir() if path.name != ".avtomatika"]


def test_every_method_exists_for_both_kinds_of_handlers():
    asynchronous = {name for name in vars(TaskFiles) if not name.startswith("_") and not name.endswith("_sync")}
    assert asynchronous == {
        *("get_root", "path_to", "exists", "list", "read", "write", "read_json", "write_json", "open"),
        *("upload_file", "upload_dir", "download_file"),
    }
    assert {f"{name}_sync" for name in asynchronous} <= set(vars(TaskFiles))


async def all_of_it(files: TaskFiles) -> dict:
    await files.write("a.txt", "žluť")
    await files.write("a.txt", "+", "a")
    await files.write(pathlib.PurePath("deep", "er.bin"), b"\x00\xff", "wb")
    await files.write_json("b.json", {"a": [1, pathlib.PurePosixPath("/x")]})
    async with files.open("lines.txt", "w") as opened:
        assert isinstance(opened, AsyncFile)
        await opened.write("one\n")
        await opened.writelines(["two\n", "three"])
    async with files.open("lines.txt") as opened:
        lines = [line async for line in opened]
        place = await opened.seek(0)
        first = await opened.readline()
    async with files.open("lines.txt", "r+b") as opened:
        await opened.truncate(3)
        await opened.flush()
        cut = await opened.read()
    assert opened.closed
    return {
        "text": await files.read("a.txt"),
        "raw": (await files.read("deep/er.bin", "rb")).hex(),
        "json": await files.read_json("b.json"),
        "list": await files.list(),
        "exists": [await files.exists(name) for name in ("a.txt", "deep", "no")],
        "made": os.path.isdir(os.path.dirname(await files.path_to("new/place"))),
        "below": os.path.relpath(await files.path_to("x"), await files.get_root()),
        "lines": lines,
        "first": [place, first],
        "cut": cut.decode(),
    }


def all_of_it_blocking(files: TaskFiles) -> dict:
    files.write_sync("a.txt", "žluť")
    files.write_sync("a.txt", "+", "a")
    files.write_sync(pathlib.PurePath("deep", "er.bin"), b"\x00\xff", "wb")
    files.write_json_sync("b.json", {"a": [1, pathlib.PurePosixPath("/x")]})
    with files.open_sync("lines.txt", "w") as opened:
        opened.writelines(["one\n", "two\n", "three"])
    with files.open_sync("lines.txt") as opened:
        lines = list(opened)
        place = opened.seek(0)
        first = opened.readline()
    with files.open_sync("lines.txt", "r+b") as opened:
        opened.truncate(3)
        cut = opened.read()
    return {
        "text": files.read_sync("a.txt"),
        "raw": files.read_sync("deep/er.bin", "rb").hex(),
        "json": files.read_json_sync("b.json"),
        "list": files.list_sync(),
        "exists": [files.exists_sync(name) for name in ("a.txt", "deep", "no")],
        "made": os.path.isdir(os.path.dirname(files.path_to_sync("new/place"))),
        "below": os.path.relpath(files.path_to_sync("x"), files.get_root_sync()),
        "lines": lines,
        "first": [place, first],
        "cut": cut.decode(),
    }


@pytest.mark.parametrize("is_async", [True, False])
def test_files_are_written_read_and_listed(is_async, worker, dev_orchestrator, tmp_path):
    async def asynchronous(params, files: TaskFiles):
        return await all_of_it(files)

    def blocking(params, files: TaskFiles):
        return all_of_it_blocking(files)

    worker.task("work")(asynchronous if is_async else blocking)
    view = ran(worker, dev_orchestrator)
    assert view["data"] == {
        "text": "žluť+",
        "raw": "00ff",
        "json": {"a": [1, "/x"]},
        "list": ["a.txt", "b.json", "deep", "lines.txt"],
        "exists": [True, True, False],
        "made": True,
        "below": "x",
        "lines": ["one\n", "two\n", "three"],
        "first": [0, "one\n"],
        "cut": "one",
    }
    assert left(tmp_path) == [], "the directory is removed when the result is acknowledged"


@pytest.mark.parametrize("name", ["../out", "/etc/passwd", "a/../../out", "link/out", "a\0b"])
@pytest.mark.parametrize("method", ["path_to", "read", "write", "exists", "open"])
def test_no_name_reaches_outside_of_the_directory(name, method, worker, dev_orchestrator, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    worker.config.TASK_FILES_DIR = tmp_path / "tasks"
    caught = []

    @worker.task("work")
    async def work(params, files: TaskFiles):
        os.symlink(outside, os.path.join(await files.get_root(), "link"))
        try:
            if method == "open":
                async with files.open(name, "w") as opened:
                    await opened.write("x")
            elif method == "write":
                await files.write(name, "x")
            else:
                await getattr(files, method)(name)
        except PermissionError as error:
            # What programs of the existing SDK catch.
            caught.append(error)
            raise

    view = ran(worker, dev_orchestrator)
    assert view["error"]["code"] == "PERMANENT_ERROR", view
    if "\0" not in name:
        assert view["error"]["details"] == {"type": "security"}
    assert list(outside.iterdir()) == []
    assert len(caught) == 1


def test_mistakes_raise_pythons_own_exceptions(worker, dev_orchestrator):
    seen = {}

    @worker.task("work")
    async def work(params, files: TaskFiles):
        await files.write("below/x", "")
        for what, call in {
            "missing": lambda: files.read("missing"),
            "mode": lambda: files.read("a", "w"),
            "type": lambda: files.write("a", b"x"),
            "other type": lambda: files.write("a", "x", "wb"),
            "itself": lambda: files.read("."),
            "directory": lambda: files.read(os.path.dirname("below/x")),
            "bytes": lambda: files.exists(b"a"),
            "json": lambda: files.write_json("a", {"a": {1}}),
        }.items():
            try:
                await call()
            except Exception as error:
                seen[what] = error
        try:
            async with files.open("a", "rw"):
                pass
        except ValueError as error:
            seen["open"] = error
        return {}

    assert ran(worker, dev_orchestrator)["result_status"] == "success"
    kinds = {what: type(error) for what, error in seen.items()}
    assert kinds == {
        "missing": FileNotFoundError,
        "mode": io.UnsupportedOperation,
        "type": TypeError,
        "other type": TypeError,
        "itself": UnusableNameError,
        "directory": UnusableNameError,
        "bytes": TypeError,
        "json": TypeError,
        "open": ValueError,
    }
    assert "`missing`" in str(seen["missing"])
    assert "at `a`" in str(seen["json"])


class SlowFile:
    """An open file on a disk that blocks until it is released."""

    def __init__(self):
        self.go_on = threading.Event()
        self.thread = ""

    def write(self, data):
        self.thread = threading.current_thread().name
        assert self.go_on.wait(LIMIT)
        return len(data)


async def test_the_disk_never_blocks_the_loop():
    slow = SlowFile()
    writing = asyncio.ensure_future(AsyncFile(slow).write("abc"))
    while not slow.thread:
        await asyncio.sleep(0)
    assert not writing.done(), "the write waits for the disk, while this continues"
    slow.go_on.set()
    assert await writing == 3
    assert slow.thread.startswith("avtomatika")


def test_without_a_storage_the_error_says_so(worker, dev_orchestrator):
    @worker.task("work")
    async def work(params, files: TaskFiles):
        await files.write("a", "x")
        await files.upload_file("a")

    view = ran(worker, dev_orchestrator)
    assert view["error"]["code"] == "PERMANENT_ERROR"
    assert "`S3_ENDPOINT_URL` is not set" in view["error"]["message"]


@pytest.mark.parametrize("is_async", [True, False])
def test_files_are_uploaded_and_downloaded_on_request(is_async, worker, dev_orchestrator, local_s3):
    local_s3.configure(worker)
    local_s3.put("s3://avtomatika-payloads/in/a", b"abc")
    local_s3.put("s3://avtomatika-payloads/in/deep/b", b"de")

    @dataclasses.dataclass
    class Expected:
        size: int

    def blocking(params, files: TaskFiles):
        one = files.download_file_sync("s3://avtomatika-payloads/in/a", "one", Expected(3))
        files.download_file_sync("s3://avtomatika-payloads/in/", "all")
        uploads = [files.upload_file_sync("one"), files.upload_dir_sync("all"), files.upload_dir_sync()]
        try:
            files.download_file_sync("s3://avtomatika-payloads/in/a", "two", Expected(4))
        except IntegrityMismatchError as error:
            wrong = str(error)
        return {"uploads": uploads, "read": files.read_sync(one), "wrong": wrong, "list": files.list_sync()}

    async def asynchronous(params, files: TaskFiles):
        one = await files.download_file("s3://avtomatika-payloads/in/a", "one", Expected(3))
        await files.download_file("s3://avtomatika-payloads/in/", "all")
        uploads = [await files.upload_file("one"), await files.upload_dir("all"), await files.upload_dir()]
        try:
            await files.download_file("s3://avtomatika-payloads/in/a", "two", Expected(4))
        except IntegrityMismatchError as error:
            wrong = str(error)
        return {"uploads": uploads, "read": await files.read(one), "wrong": wrong, "list": await files.list()}

    worker.task("work")(asynchronous if is_async else blocking)
    view = ran(worker, dev_orchestrator)
    root = f"s3://avtomatika-payloads/{view['task_id']}"
    assert view["data"] == {
        "uploads": [
            {"uri": f"{root}/one", "size": 3, "etag": "900150983cd24fb0d6963f7d28e17f72"},
            {"uri": f"{root}/all/", "size": 5, "etag": None},
            {"uri": f"{root}/", "size": 8, "etag": None},
        ],
        "read": "abc",
        "wrong": "`s3://avtomatika-payloads/in/a` has 3 bytes, expected 4",
        "list": ["all", "one"],
    }
    assert local_s3.get(f"{root}/all/deep/b") == b"de"
    assert local_s3.keys(f"{root}/all/") == [f"{root}/all/a", f"{root}/all/deep/b"]


def test_json_is_uploaded_if_there_is_a_storage(worker, dev_orchestrator, local_s3):
    local_s3.configure(worker)

    @worker.task("work")
    async def work(params, files: TaskFiles):
        return {"data": {"json": await files.write_json("a.json", {"a": 1})}}

    view = ran(worker, dev_orchestrator)
    uri = f"s3://avtomatika-payloads/{view['task_id']}/a.json"
    assert view["data"] == {"json": {"uri": uri, "size": 12, "etag": "c7f9e8749610e326264d52824a1c23cc"}}
    assert json.loads(local_s3.get(uri)) == {"a": 1}


def test_a_missing_object_is_named(worker, dev_orchestrator, local_s3):
    local_s3.configure(worker)

    @worker.task("work")
    async def work(params, files: TaskFiles):
        await files.download_file("s3://avtomatika-payloads/none", "a")

    view = ran(worker, dev_orchestrator)
    assert view["error"]["code"] == "PERMANENT_ERROR"
    assert "s3://avtomatika-payloads/none" in view["error"]["message"]
    with pytest.raises(FileNotFoundError):
        local_s3.get("s3://avtomatika-payloads/none")
    with pytest.raises(ValueError, match="expected `s3://bucket/key`"):
        local_s3.get("http://a/b")


def test_the_metadata_of_an_upload_can_be_data():
    assert json.loads(encode({"file": FileMetadata("s3://b/k", 5)})[1]) == {
        "file": {"uri": "s3://b/k", "size": 5, "etag": None}
    }
