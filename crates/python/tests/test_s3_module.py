"""The module `s3`, and the files of a directory outside of a worker."""

import asyncio
import contextlib
import dataclasses
import datetime
import enum
import errno
import io
import json
import multiprocessing
import os
import pathlib
import pickle
import types
import uuid

import pytest
from avtomatika_worker import (
    ConfigError,
    IntegrityMismatchError,
    PermanentError,
    TaskFiles,
    WorkerConfig,
    s3,
    task_files,
)
from avtomatika_worker._logging import LOG
from avtomatika_worker.s3 import FileMetadata, IntegrityError, S3BlobProvider, S3Manager
from avtomatika_worker.testing import LocalS3
from support import LIMIT

BUCKET = "s3://avtomatika-payloads"


@pytest.fixture
def files(tmp_path):
    return TaskFiles(str(tmp_path / "task"))


@pytest.fixture
def storage():
    with LocalS3("other") as one:
        one.put("s3://other/one.txt", b"one")
        one.put("s3://other/d/a", b"abc")
        one.put("s3://other/d/deep/b", b"de")
        yield one


@pytest.fixture
def config(tmp_path, storage, monkeypatch):
    for name, value in storage.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TASK_FILES_DIR", str(tmp_path / "payloads"))
    return WorkerConfig()


# --- TaskFiles(path)


def test_the_forms_of_both_versions_are_accepted(tmp_path):
    manager = S3Manager(WorkerConfig())
    for made in (
        TaskFiles(str(tmp_path)),
        TaskFiles(tmp_path),
        TaskFiles(task_dir=tmp_path),
        TaskFiles(tmp_path, manager),
        TaskFiles(tmp_path, None),
        TaskFiles(str(tmp_path), s3_manager=manager),
        TaskFiles(str(tmp_path), "job", "task"),
        TaskFiles(tmp_path, "job", "task", manager, None),
        TaskFiles(task_dir=tmp_path, job_id="", task_id="", s3_manager=None, observability=None),
    ):
        assert made.get_root_sync() == str(tmp_path)
    with pytest.raises(TypeError):
        TaskFiles()


async def test_the_directory_is_made_on_first_use_and_stays(tmp_path):
    path = tmp_path / "a" / "b"
    files = TaskFiles(path)
    assert not path.exists()
    assert await files.list() == []
    assert path.is_dir()
    assert await files.write("deep/er.txt", "x") == str(path / "deep" / "er.txt")
    (path / "mine").write_text("y")
    assert await files.list() == ["deep", "mine"]
    assert await files.path_to("") == await files.path_to(".") == await files.get_root() == str(path)
    assert [await files.exists(name) for name in ("", ".", "deep", "none")] == [True, True, True, False]
    assert files.path_to_sync("new/file") == str(path / "new" / "file")
    del files
    assert (path / "deep" / "er.txt").read_text() == "x"


def test_a_relative_path_is_that_of_the_current_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = TaskFiles("relative")
    monkeypatch.chdir("/")
    files.write_sync("a", "x")
    assert (tmp_path / "relative" / "a").read_text() == "x"


def test_a_subclass_is_one(tmp_path):
    class Own(TaskFiles):
        def __init__(self, path):
            super().__init__(path)
            self.extra = 1

    own = Own(tmp_path)
    own.write_sync("a", "x")
    assert isinstance(own, TaskFiles) and own.extra == 1 and own.list_sync() == ["a"]


@pytest.mark.parametrize("name", ["../out", "/etc/passwd", "a/../../out", "link/out", "a\0b"])
@pytest.mark.parametrize("method", ["path_to", "read", "write", "exists", "open"])
async def test_no_name_reaches_outside(name, method, files, tmp_path):
    os.symlink(tmp_path, os.path.join(await files.get_root(), "link"))
    with pytest.raises(PermissionError) as caught:
        if method == "open":
            async with files.open(name, "w"):
                pass
        elif method == "write":
            await files.write(name, "x")
        else:
            await getattr(files, method)(name)
    assert isinstance(caught.value, PermanentError)
    assert caught.value.details == {"type": "security"}
    assert not (tmp_path / "out").exists()


def test_errors_are_those_of_python(files):
    with pytest.raises(FileNotFoundError) as missing:
        files.read_sync("missing")
    assert missing.value.errno == errno.ENOENT
    files.write_sync("a", "x")
    with pytest.raises(FileExistsError):
        files.write_sync("a", "x", "x")
    with pytest.raises(OSError, match="`d` is a directory"):
        files.path_to_sync("d/x")
        files.read_sync("d")
    with pytest.raises(io.UnsupportedOperation):
        files.write_sync("a", "y", "r")
    with pytest.raises(io.UnsupportedOperation):
        files.read_sync("a", "w")
    with pytest.raises(ValueError):
        files.read_sync("a", "q")
    with pytest.raises(TypeError):
        files.write_sync("a", b"y")
    with pytest.raises(RuntimeError, match="`S3_ENDPOINT_URL` is not set"):
        files.upload_file_sync("a")
    assert files.read_sync("a") == "x"
    files.write_sync("b", b"\xff", "wb")
    with pytest.raises(UnicodeDecodeError):
        files.read_sync("b")


def test_modes_and_line_ends_are_those_of_open(files):
    files.write_sync("a", "one\r\ntwo\n")
    assert files.read_sync("a", "rb") == b"one\r\ntwo\n"
    assert files.read_sync("a") == files.read_sync("a", "rt") == files.read_sync("a", "r+") == "one\ntwo\n"
    files.write_sync("a", "ONE", "r+")
    files.write_sync("a", b"+", "ab")
    assert files.read_sync("a", "rb") == b"ONE\r\ntwo\n+"
    files.write_sync("a", "new", "w+")
    assert files.read_sync("a") == "new"


async def test_an_open_file_has_the_attributes_of_one(files):
    await files.write("a", "abc")
    async with files.open("a", "r+") as opened:
        assert opened.name == await files.path_to("a")
        assert (opened.mode, opened.encoding, opened.closed) == ("r+", "utf-8", False)
        assert isinstance(opened.fileno(), int)
        assert await opened.readable() and await opened.writable() and await opened.seekable()
        assert not await opened.isatty()
        with pytest.raises(AttributeError):
            _ = opened.nothing
    async with files.open("a", "rb") as opened:
        buffer = bytearray(2)
        assert await opened.readinto(buffer) == 2 and buffer == b"ab"


# --- JSON


async def test_json_is_indented_as_by_1_0b20(files):
    data = {"b": 1, "a": [1, 2.5, 'žluť, ["{', None, True], "n": {}, "e": [], "m": [{"c": []}]}
    assert await files.write_json("a.json", data) is None
    raw = await files.read("a.json", "rb")
    assert raw == json.dumps(data, indent=2, ensure_ascii=False).encode()
    assert await files.read_json("a.json") == data


@dataclasses.dataclass
class Point:
    x: int


class Colour(enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("x", b'"x"'),
        (None, b"null"),
        (5, b"5"),
        (float("nan"), b"NaN"),
        (2**70, b"1180591620717411303424"),
        ((1, 2), b"[\n  1,\n  2\n]"),
        ({1: 2}, b'{\n  "1": 2\n}'),
        (datetime.datetime(2020, 1, 2, 3, 4, 5), b'"2020-01-02T03:04:05"'),
        (datetime.date(2020, 1, 2), b'"2020-01-02"'),
        (uuid.UUID(int=5), b'"00000000-0000-0000-0000-000000000005"'),
        (pathlib.PurePosixPath("/x"), b'"/x"'),
        (Colour.RED, b'"red"'),
        (Point(1), b'{\n  "x": 1\n}'),
        ('\ud800\\"', b'"\\ud800\\\\\\""'),
    ],
)
def test_what_either_version_writes_is_written(value, written, files):
    files.write_json_sync("a.json", value)
    assert files.read_sync("a.json", "rb") == written


@pytest.mark.parametrize("value", [b"x", {1}, object()])
def test_what_is_no_json_is_a_type_error(value, files):
    with pytest.raises(TypeError, match="at `a`"):
        files.write_json_sync("a.json", {"a": value})
    assert not files.exists_sync("a.json")


# --- Metadata


def test_metadata_can_be_made_compared_and_unpacked():
    one = FileMetadata("s3://b/k", 3, "e")
    assert one == FileMetadata(uri="s3://b/k", size=3, etag="e", metadata=None)
    assert one != FileMetadata("s3://b/k") and FileMetadata("s3://b/k").size == 0
    uri, size, etag = one
    assert (uri, size, etag) == ("s3://b/k", 3, "e") and one[0] == uri
    assert hash(FileMetadata("u", 1, None, {"a": 1})) is not None
    assert repr(one) == "FileMetadata(uri='s3://b/k', size=3, etag='e', metadata=None)"
    assert task_files.FileMetadata is s3.FileMetadata
    assert pickle.loads(pickle.dumps(one)) == one
    with pytest.raises(AttributeError):
        one.size = 4


# --- With a storage


async def test_files_outside_of_a_worker_are_uploaded_and_downloaded(config, tmp_path):
    files = TaskFiles(tmp_path / "t-1", s3_manager=S3Manager(config))
    await files.write("deep/a.txt", "abc")
    sent = await files.upload_file("deep/a.txt")
    assert sent == FileMetadata(f"{BUCKET}/t-1/deep/a.txt", 3, "900150983cd24fb0d6963f7d28e17f72")
    assert await files.upload_dir("deep") == FileMetadata(f"{BUCKET}/t-1/deep/", 3)
    report = await files.write_json("a.json", {"a": 1})
    assert report == FileMetadata(f"{BUCKET}/t-1/a.json", 12, "c7f9e8749610e326264d52824a1c23cc")
    assert await files.download_file("s3://other/one.txt", "q/one") == await files.path_to("q/one")
    assert await files.read("q/one") == "one"
    await files.download_file("s3://other/d/", "d")
    assert await files.read("d/deep/b") == "de"
    with pytest.raises(FileNotFoundError):
        await files.upload_file("none")
    with pytest.raises(FileNotFoundError):
        await files.download_file("s3://other/none", "none")
    with pytest.raises(ValueError):
        await files.download_file("http://x/y", "none")
    assert not await files.exists("none")
    named = TaskFiles(tmp_path / "t-1", "job", "task", S3Manager(config))
    assert (await named.upload_file("q/one")).uri == f"{BUCKET}/task/q/one"


async def test_large_files_have_the_etag_of_their_parts(config, tmp_path):
    files = TaskFiles(tmp_path / "t-1", S3Manager(config))
    await files.write("big", b"x" * (20 << 20), "wb")
    sent = await files.upload_file("big")
    assert sent.size == 20 << 20 and sent.etag is not None and sent.etag.endswith("-3")
    await files.download_file(sent.uri, "again", sent)
    assert os.path.getsize(await files.path_to("again")) == 20 << 20


@dataclasses.dataclass
class Expected:
    size: int | None = None
    etag: str | None = None


ETAG = "f97c5d29941bfb1b2fdab0874906ab82"  # Of `one`.


@pytest.mark.parametrize(
    "meta",
    [
        FileMetadata("x", 3),
        FileMetadata("x", 3, ETAG),
        {"size": 3, "etag": f'"{ETAG}"'},
        Expected(etag=f'W/"{ETAG}"'),
        Expected(3, ""),
        {},
        None,
    ],
)
async def test_an_object_that_is_as_expected_replaces_a_file(meta, config, tmp_path):
    files = TaskFiles(tmp_path, S3Manager(config))
    await files.write("one", "earlier")
    await files.download_file("s3://other/one.txt", "one", verify_meta=meta)
    assert await files.read("one") == "one"


@pytest.mark.parametrize(
    "meta", [FileMetadata("x", 4), FileMetadata("x"), {"size": 4}, Expected(3, "another"), Expected(3, f"{ETAG}-1")]
)
@pytest.mark.parametrize("error", [IntegrityError, IntegrityMismatchError, ValueError])
async def test_an_object_that_differs_leaves_everything_as_it_was(meta, error, config, tmp_path):
    files = TaskFiles(tmp_path / "t", S3Manager(config))
    await files.write("one", "earlier")
    with pytest.raises(error, match="one.txt`"):
        await files.download_file("s3://other/one.txt", "one", verify_meta=meta)
    with pytest.raises(error):
        await files.download_file("s3://other/one.txt", "two", verify_meta=meta)
    assert await files.read("one") == "earlier"
    assert os.listdir(tmp_path / "t") == ["one"]


async def test_the_etag_of_a_prefix_is_not_checked_and_the_log_says_so_once(config, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(LOG, "_said", set())
    files = TaskFiles(tmp_path / "t", S3Manager(config))
    for _ in range(2):
        await files.download_file("s3://other/d/", "d", verify_meta={"size": 5, "etag": "x"})
    await S3Manager(config).process_params(["s3://other/d/"], "t-1", {"[0]": {"etag": "x"}})
    warned = [record for record in caplog.records if "ends in `/` is not checked" in record.getMessage()]
    assert [(record.levelname, record.name) for record in warned] == [("WARNING", "avtomatika_worker")]
    with pytest.raises(IntegrityError):
        await files.download_file("s3://other/d/", "d", verify_meta={"size": 6, "etag": "x"})


@pytest.mark.parametrize("size", [-1, 1 << 64, 3.5, float("nan"), float("inf"), "many", "", [], object()])
async def test_a_size_that_is_no_number_of_bytes_is_an_error(size, config, tmp_path):
    manager = S3Manager(config)
    expected = "expected the number of bytes: a whole number from 0"
    with pytest.raises(ValueError, match=f"^`size` in `verify_meta` is `.*`, {expected}"):
        await TaskFiles(tmp_path / "t", manager).download_file("s3://other/one.txt", "one", {"size": size})
    with pytest.raises(ValueError, match=rf"^`size` in `metadata\['a\[0\]'\]` is `.*`, {expected}"):
        await manager.process_params({"a": ["s3://other/one.txt"]}, "t-1", {"a[0]": {"size": size}})
    assert not (tmp_path / "t").exists() and not (tmp_path / "payloads").exists()


def test_the_error_of_1_0b4_can_be_raised_by_hand():
    error = IntegrityError("differs", {"a": 1})
    assert (error.message, error.details, error.code) == ("differs", {"a": 1}, "INTEGRITY_MISMATCH_ERROR")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.message, again.details) == (IntegrityError, "differs", {"a": 1})


# --- S3Manager


async def test_parameters_are_fetched(config, tmp_path):
    manager = S3Manager(config)
    value = object()
    params = {"a": "s3://other/one.txt", "b": [{"c": "s3://other/d/"}], "n": 5, "x": "http://a", "v": value}
    fetched = await manager.process_params(params, "t-1")
    root = tmp_path / "payloads" / "t-1"
    assert fetched == {**params, "a": str(root / "one.txt"), "b": [{"c": str(root / "d")}]}
    assert (root / "one.txt").read_text() == "one" and (root / "d" / "deep" / "b").read_text() == "de"
    assert params["a"] == "s3://other/one.txt", "the original is unchanged"
    assert await manager.process_params(["s3://other/one.txt"] * 2, "t-1") == [str(root / "one.txt")] * 2
    assert await manager.process_params("s3://other/one.txt", "t-1") == str(root / "one.txt")
    assert await manager.process_params({"a": 1}, "t-2") == {"a": 1}
    assert not (tmp_path / "payloads" / "t-2").exists()
    with pytest.raises(FileNotFoundError):
        await manager.process_params({"a": "s3://other/none"}, "t-1")


async def test_inputs_never_overwrite_each_other_nor_other_files(config, storage, tmp_path):
    storage.put("s3://other/2/one.txt", b"two")
    root = tmp_path / "payloads" / "t-1"
    manager = S3Manager(config)
    one, two = "s3://other/one.txt", "s3://other/2/one.txt"
    for _ in range(2):
        assert await manager.process_params([one], "t-1") == [f"{root}/one.txt"]
        assert await manager.process_params([two], "t-1") == [f"{root}/input-2/one.txt"]
    assert ((root / "one.txt").read_text(), (root / "input-2" / "one.txt").read_text()) == ("one", "two")
    await manager.cleanup("t-1")
    root.mkdir()
    (root / "one.txt").write_text("mine")
    fetched = await asyncio.gather(*(manager.process_params([uri], "t-1") for uri in (one, two, one)))
    assert [pathlib.Path(path).read_text() for [path] in fetched] == ["one", "two", "one"]
    assert fetched[0] == fetched[2] and (root / "one.txt").read_text() == "mine"


async def test_parameters_are_checked(config, tmp_path):
    manager = S3Manager(config)
    params = {"a": {"b": ["s3://other/one.txt"]}}
    await manager.process_params(params, "t-1", {"a.b[0]": FileMetadata("s3://other/one.txt", 3, ETAG)})
    for meta in (FileMetadata("x", 4), {"size": 4}, {"etag": "another"}):
        with pytest.raises(IntegrityError):
            await manager.process_params(params, "t-2", {"a.b[0]": meta})
    assert not (tmp_path / "payloads" / "t-2" / "one.txt").exists()


async def test_results_are_sent(config, storage, tmp_path):
    manager = S3Manager(config)
    root = tmp_path / "payloads" / "t-1"
    (root / "d" / "deep").mkdir(parents=True)
    (root / "out.txt").write_text("out")
    (root / "d" / "deep" / "f").write_text("f")
    (tmp_path / "payloads" / "root.txt").write_text("loose")
    value = object()
    result = {
        "status": "success",
        "data": {"p": f"{root}/out.txt", "d": [f"{root}/d"], "no": f"{root}/none", "e": "/etc/passwd", "v": value},
    }
    sent, metadata = await manager.process_result(result)
    assert sent["data"] == {
        **result["data"],
        "p": f"{BUCKET}/t-1/out.txt",
        "d": [f"{BUCKET}/t-1/d/"],
    }
    assert metadata == {
        "data.p": FileMetadata(f"{BUCKET}/t-1/out.txt", 3, "c68271a63ddbc431c307beb7d2918275"),
        "data.d[0]": FileMetadata(f"{BUCKET}/t-1/d/", 1),
    }
    assert storage.get(f"{BUCKET}/t-1/d/deep/f") == b"f"
    plain, metadata = await manager.process_result({"p": f"{root}/d", "q": f"{root}/d"}, s3_prefix="pre/fix/")
    assert plain == {"p": f"{BUCKET}/pre/fix/d/", "q": f"{BUCKET}/pre/fix/d/"} and list(metadata) == ["p", "q"]
    loose = {"p": str(tmp_path / "payloads" / "root.txt")}
    assert (await manager.process_result(loose))[0] == {"p": f"{BUCKET}/root.txt"}
    os.symlink("/etc/passwd", root / "link")
    with pytest.raises(PermissionError):
        await manager.process_result({"p": f"{root}/link"})


async def test_paths_that_lead_out_of_the_directory_of_a_task_are_left_alone(config, storage, tmp_path):
    root = tmp_path / "payloads"
    (root / "t-1").mkdir(parents=True)
    (root / "t-1" / "a").write_text("a")
    (tmp_path / "secret.txt").write_text("secret")
    wrong = ["/../secret.txt", "/t-1/../../secret.txt", "/t-1/../t-1/a", "/..", "/.", "/", "//", "/./.", "", "/./../x"]
    result = {str(index): f"{root}{text}" for index, text in enumerate(wrong)}
    before = storage.keys(f"{BUCKET}/")
    assert await S3Manager(config).process_result(result) == (result, {})
    assert storage.keys(f"{BUCKET}/") == before == []
    for text in ("/t-1/a", "/./t-1//a"):
        sent, _ = await S3Manager(config).process_result([f"{root}{text}"])
        assert sent == [f"{BUCKET}/t-1/a"]
    for text in ("/t-1", "/t-1/", "/t-1/."):
        sent, _ = await S3Manager(config).process_result([f"{root}{text}"])
        assert sent == [f"{BUCKET}/t-1/"]


async def test_the_directory_of_a_task_is_private_and_no_link_is_followed(config, storage, tmp_path):
    root, elsewhere = tmp_path / "payloads", tmp_path / "elsewhere"
    manager = S3Manager(config)
    await manager.process_params({"a": "s3://other/one.txt"}, "t-1")
    assert (root / "t-1").stat().st_mode & 0o777 == 0o700
    elsewhere.mkdir()
    (elsewhere / "secret").write_text("secret")
    (root / "t-2").symlink_to(elsewhere)
    with pytest.raises(PermanentError, match="is a symbolic link") as raised:
        await manager.process_params({"a": "s3://other/one.txt"}, "t-2")
    assert raised.value.details["type"] == "security"
    for text in ("t-2/secret", "t-2"):
        with pytest.raises(PermanentError, match="is a symbolic link"):
            await manager.process_result([f"{root}/{text}"])
    assert os.listdir(elsewhere) == ["secret"] and storage.keys(f"{BUCKET}/") == []


async def test_cleanup_removes_the_directory_of_a_task_only(config, tmp_path):
    manager = S3Manager(config)
    await manager.process_params({"a": "s3://other/one.txt"}, "t-1")
    (tmp_path / "outside").mkdir()
    for task_id in ("../outside", "", ".", "never", "/etc"):
        await manager.cleanup(task_id)
    assert (tmp_path / "outside").exists() and (tmp_path / "payloads" / "t-1").exists()
    await manager.cleanup("t-1")
    assert os.listdir(tmp_path / "payloads") == []


async def test_transfers_under_way_can_be_waited_for(config):
    manager = S3Manager(config)
    await manager.wait_all_done()
    fetching = asyncio.ensure_future(manager.process_params({"a": "s3://other/one.txt"}, "t-1"))
    while not manager._running:
        await asyncio.sleep(0)
    await manager.wait_all_done(timeout=30)
    assert not manager._running
    assert "one.txt" in (await fetching)["a"]
    await manager.wait_all_done(1)


async def test_without_a_storage_everything_passes_through(tmp_path, monkeypatch):
    monkeypatch.delenv("S3_ENDPOINT_URL", raising=False)
    config = WorkerConfig()
    config.TASK_FILES_DIR = tmp_path
    (tmp_path / "t-1").mkdir()
    (tmp_path / "t-1" / "a").write_text("x")
    manager = S3Manager(config, observability=None)
    params = {"a": "s3://other/one.txt"}
    assert await manager.process_params(params, "t-1") == params
    result = {"data": {"p": str(tmp_path / "t-1" / "a")}}
    assert await manager.process_result(result) == (result, {})
    files = TaskFiles(tmp_path / "t-1", s3_manager=manager)
    assert await files.write_json("b", 1) is None
    with pytest.raises(RuntimeError):
        await files.upload_file("a")
    await manager.cleanup("t-1")
    assert os.listdir(tmp_path) == []


class Observability:
    def __init__(self):
        self.seen = []

    @contextlib.contextmanager
    def start_s3_span(self, op, uri):
        self.seen.append((op, uri))
        yield None

    def record_s3_op(self, op, status):
        self.seen.append((op, status))


async def test_transfers_are_observed(config, tmp_path):
    observability = Observability()
    manager = S3Manager(config, observability)
    params = await manager.process_params({"a": "s3://other/one.txt"}, "t-1")
    await manager.process_result(params)
    with pytest.raises(FileNotFoundError):
        await manager.process_params({"a": "s3://other/none"}, "t-1")
    assert observability.seen == [
        ("download", "s3://other/one.txt"),
        ("download", "success"),
        ("upload", params["a"]),
        ("upload", "success"),
        ("download", "s3://other/none"),
    ]


async def test_a_configuration_may_be_any_object_with_the_options(config, tmp_path):
    names = ("S3_ENDPOINT_URL", "S3_ACCESS_KEY", "S3_SECRET_KEY", "S3_DEFAULT_BUCKET", "TASK_FILES_DIR")
    own = types.SimpleNamespace(**{name: getattr(config, name) for name in names}, OTHER=object())
    fetched = await S3Manager(own).process_params({"a": "s3://other/one.txt"}, "t-1")
    assert pathlib.Path(fetched["a"]).read_text() == "one"


def test_a_wrong_configuration_is_reported_on_first_use(monkeypatch, tmp_path):
    monkeypatch.setenv("S3_ENDPOINT_URL", "nonsense")
    manager = S3Manager(WorkerConfig())
    with pytest.raises(ConfigError, match="S3_ENDPOINT_URL"):
        asyncio.run(manager.process_params({"a": "s3://other/one.txt"}, "t-1"))


def test_a_forked_process_has_a_storage_of_its_own(config):
    manager = S3Manager(config)
    params = {"a": "s3://other/one.txt"}
    asyncio.run(manager.process_params(params, "t-1"))
    context = multiprocessing.get_context("fork")
    fetched = context.SimpleQueue()
    child = context.Process(target=lambda: fetched.put(asyncio.run(manager.process_params(params, "t-2"))))
    child.start()
    child.join(LIMIT)
    assert child.exitcode == 0
    assert pathlib.Path(fetched.get()["a"]).read_text() == "one"


def test_a_stand_in_for_the_manager_is_accepted(tmp_path):
    files = TaskFiles(tmp_path, s3_manager=object())
    files.write_sync("a", "x")
    assert files.list_sync() == ["a"]


def test_the_names_of_the_module():
    assert s3.MAX_S3_CONCURRENCY == 50
    assert s3.logger.name == "avtomatika_worker.s3"


# --- S3BlobProvider


async def test_objects_are_moved_described_and_deleted(config, storage, tmp_path):
    provider = S3BlobProvider(config, asyncio.Semaphore(5))
    source = tmp_path / "one"
    source.write_text("one")
    assert await provider.upload(str(source), "s3://other/up/a.txt") == ETAG
    assert await provider.upload(str(source), "plain/key") == ETAG
    assert storage.get(f"{BUCKET}/plain/key") == b"one"
    described = {"uri": "s3://other/up/a.txt", "size": 3, "etag": ETAG}
    assert await provider.get_metadata("s3://other/up/a.txt") == described
    assert await provider.get_metadata("s3://other/none") is None
    assert await provider.download("s3://other/up/a.txt", str(tmp_path / "got" / "a")) is True
    assert (tmp_path / "got" / "a").read_text() == "one"
    with pytest.raises(FileNotFoundError):
        await provider.download("s3://other/none", str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError):
        await provider.upload(str(tmp_path / "none"), "s3://other/x")
    for _ in range(2):
        assert await provider.delete("s3://other/up/a.txt") is True
    assert await provider.get_metadata("s3://other/up/a.txt") is None
    assert await provider.delete_dir("s3://other/d") is True
    assert storage.keys("s3://other/") == ["s3://other/one.txt"]
