"""The rows of `docs/migrating.md` about files and S3."""

import asyncio
import hashlib
import os

import pytest
from avtomatika_worker import PermanentError, TaskFiles, Worker, WorkerConfig
from avtomatika_worker.s3 import MAX_S3_CONCURRENCY, FileMetadata, IntegrityError, S3BlobProvider, S3Manager
from avtomatika_worker.testing import LocalS3
from migrating import Area, connected, run

AREA = Area("files")

BUCKET = "s3://avtomatika-payloads"


def test_every_row_has_a_test_and_every_test_a_row():
    AREA.check()


@pytest.fixture
def files(tmp_path):
    return TaskFiles(tmp_path / "task")


@pytest.fixture
def storage():
    with LocalS3("other") as one:
        one.put("s3://other/one.txt", b"one")
        one.put("s3://other/deep/one.txt", b"another")
        yield one


@pytest.fixture
def config(tmp_path, storage, monkeypatch):
    for name, value in storage.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TASK_FILES_DIR", str(tmp_path / "payloads"))
    return WorkerConfig()


@AREA.row("`TaskFiles` accepts names such as `a/../b`")
@AREA.row("A name with NUL")
@pytest.mark.parametrize("name", ["a/../b", "../b", "/etc/x", "a\0b"])
def test_names_that_lead_outside(name, files):
    for method in (files.path_to_sync, files.read_sync, files.exists_sync):
        with pytest.raises(PermissionError) as caught:
            method(name)
        assert isinstance(caught.value, PermanentError)

    async def handler(params, files: TaskFiles):
        await files.write(name, "x")

    assert run(handler).error_code == "PERMANENT_ERROR"


@AREA.row("`get_root()` of a relative path")
def test_the_root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for given in ("relative", tmp_path / "relative"):
        assert TaskFiles(given).get_root_sync() == str(tmp_path / "relative")


@AREA.row("Reading a directory")
def test_directories_cannot_be_read(files):
    files.write_sync("d/x", "1")
    with pytest.raises(OSError, match="`d` is a directory") as caught:
        files.read_sync("d")
    assert isinstance(caught.value, PermanentError) and not isinstance(caught.value, IsADirectoryError)


@AREA.row("`write_json` writes NaN as `null`")
@AREA.row("`write_json` escapes what is not ASCII")
@AREA.row("`read_json` makes floats of large integers")
def test_json(files):
    files.write_json_sync("a.json", {"nan": float("nan"), "text": "žluť"})
    assert files.read_sync("a.json", "rb").decode() == '{\n  "nan": NaN,\n  "text": "žluť"\n}'
    files.write_sync("b.json", str(2**80))
    found = files.read_json_sync("b.json")
    assert (type(found), found) == (int, 2**80)


@AREA.row("Uploads have the keys `name`, or `job_id/name`")
def test_keys(config, storage, tmp_path):
    worker = Worker(config=config)

    @worker.task("work")
    async def work(params, files: TaskFiles):
        await files.write("a.txt", "a")
        return {"data": {"uri": (await files.upload_file("a.txt")).uri, "path": await files.path_to("a.txt")}}

    with connected(worker) as (one, _):
        task = one.give("work")
        found = one.result(task)["data"]
    assert found == {"uri": f"{BUCKET}/{task}/a.txt", "path": f"{BUCKET}/{task}/a.txt"}
    manager = S3Manager(config)
    for arguments, prefix in (((), "alone"), (("job",), "job"), (("job", "task"), "task")):
        files = TaskFiles(tmp_path / "alone", *arguments, s3_manager=manager)
        files.write_sync("a.txt", "a")
        assert files.upload_file_sync("a.txt").uri == f"{BUCKET}/{prefix}/a.txt"


@AREA.row("`download_file` gives the file the name of the object")
@AREA.row("ETags are not checked")
async def test_downloads(config, tmp_path):
    manager = S3Manager(config)
    files = TaskFiles(tmp_path / "task", s3_manager=manager)
    assert await files.download_file("s3://other/one.txt", "mine.txt") == await files.path_to("mine.txt")
    await files.write("mine.txt", "earlier")
    etag = hashlib.md5(b"one").hexdigest()
    for wrong in (FileMetadata("x", 4, etag), FileMetadata("x", 3, "0" * 32)):
        with pytest.raises(IntegrityError):
            await files.download_file("s3://other/one.txt", "mine.txt", verify_meta=wrong)
        assert await files.read("mine.txt") == "earlier"
        with pytest.raises(IntegrityError):
            await manager.process_params({"a": "s3://other/one.txt"}, "task", metadata={"a": wrong})
    await files.download_file("s3://other/one.txt", "mine.txt", verify_meta=FileMetadata("x", 3, etag))
    assert await files.read("mine.txt") == "one"


@AREA.row("Downloads that do not fit raise `rxon.exceptions.IntegrityError`")
def test_the_error_of_downloads():
    assert (IntegrityError.__module__.partition(".")[0], IntegrityError("x").code) == (
        "avtomatika_worker",
        "INTEGRITY_MISMATCH_ERROR",
    )


@AREA.row("Two inputs with the same file name")
def test_inputs_of_the_same_name(config):
    worker = Worker(config=config)

    @worker.task("work")
    async def work(params):
        contents = []
        for path in params["inputs"]:
            with open(path) as file:
                contents.append(file.read())
        return {"data": {"contents": contents, "folders": [path.split("/")[-2] for path in params["inputs"]]}}

    with connected(worker) as (one, _):
        task = one.give("work", {"inputs": ["s3://other/one.txt", "s3://other/deep/one.txt"]})
        found = one.result(task)["data"]
    assert found == {"contents": ["one", "another"], "folders": [task, "input-2"]}


@AREA.row("A directory has the ETag of one of its files")
@AREA.row("Downloading an empty prefix")
def test_directories_in_the_storage(config, tmp_path):
    files = TaskFiles(tmp_path / "task", s3_manager=S3Manager(config))
    files.write_sync("d/a", "abc")
    files.write_sync("d/b", "de")
    sent = files.upload_dir_sync("d")
    assert (sent.size, sent.etag) == (5, None)
    path = files.download_file_sync("s3://other/missing/", "empty")
    assert os.listdir(path) == []


@AREA.row("Without `S3_ENDPOINT_URL`, transfers go to AWS")
def test_without_a_storage(tmp_path, monkeypatch):
    monkeypatch.delenv("S3_ENDPOINT_URL", raising=False)
    for files in (TaskFiles(tmp_path), TaskFiles(tmp_path, s3_manager=S3Manager(WorkerConfig()))):
        files.write_sync("a", "x")
        for transfer in (lambda: files.upload_file_sync("a"), lambda: files.download_file_sync("s3://b/k", "b")):  # noqa: B023
            with pytest.raises(RuntimeError, match="`S3_ENDPOINT_URL` is not set"):
                transfer()


@AREA.row("`S3Manager.cleanup` removes any directory")
async def test_cleanup(config, tmp_path):
    manager = S3Manager(config)
    await manager.process_params({"a": "s3://other/one.txt"}, "task")
    (tmp_path / "outside").mkdir()
    for task_id in ("../outside", ""):
        await manager.cleanup(task_id)
    assert (tmp_path / "outside").exists() and (tmp_path / "payloads" / "task").exists()
    await manager.cleanup("task")
    assert not (tmp_path / "payloads" / "task").exists()


@AREA.row("`S3BlobProvider.get_metadata` returns `None`")
async def test_metadata(config):
    blobs = S3BlobProvider(config, asyncio.Semaphore(1))
    found = await blobs.get_metadata("s3://other/one.txt")
    assert found == {"uri": "s3://other/one.txt", "size": 3, "etag": hashlib.md5(b"one").hexdigest()}
    assert await blobs.get_metadata("s3://other/missing") is None


@AREA.row("`MAX_S3_CONCURRENCY`")
def test_the_number_of_transfers():
    assert MAX_S3_CONCURRENCY == 50
