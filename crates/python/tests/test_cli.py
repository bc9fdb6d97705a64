"""The command `worker`, and `python -m avtomatika_worker`."""

from __future__ import annotations

import argparse
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import dedent

import pytest
from avtomatika_worker import Worker
from avtomatika_worker.__main__ import import_string, main, run_worker
from wire import LIMIT, wire

PROGRAM = """
import os, sys
from avtomatika_worker import Worker

worker = Worker()
no_worker = 5


class Holder:
    worker = worker


@worker.task("first")
async def first(params):
    return {"data": {"pid": os.getpid()}}
"""


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pathlib.Path]:
    (tmp_path / "app_for_cli.py").write_text(dedent(PROGRAM))
    (tmp_path / "app_that_fails.py").write_text("import module_that_is_not_there")
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    yield tmp_path
    sys.path[:] = path
    sys.modules.pop("app_for_cli", None)


@contextmanager
def command(folder: pathlib.Path, url: str, *arguments: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    environment = {
        # The package need not be installed.
        **{name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},
        "PYTHONUNBUFFERED": "1",
        "ORCHESTRATOR_URL": url,
        "WORKER_ID": "w1",
        "WORKER_HOST": "127.0.0.1",
        "LOG_LEVEL": "INFO",
        **variables,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "avtomatika_worker", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(LIMIT)
        finally:
            process.kill()
            assert process.stderr is not None
            process.stderr.close()


@pytest.mark.parametrize(
    ("app", "message"),
    [
        ("app_for_cli", "the worker `app_for_cli` cannot be imported: it is `app_for_cli`, expected `module:name`"),
        ("no_such_app:worker", "the worker `no_such_app:worker` cannot be imported: No module named 'no_such_app'"),
        ("app_that_fails:worker", "cannot be imported: No module named 'module_that_is_not_there'"),
        ("app_for_cli:nothing", "the module `app_for_cli` has no `nothing`"),
        ("app_for_cli:no_worker", "`app_for_cli:no_worker` is a `int`, expected a `Worker`"),
    ],
)
def test_what_is_no_worker_is_exit_code_1(app, message, folder, capsys):
    assert main(["run", "--app", app]) == 1
    assert message in capsys.readouterr().err


def test_run_worker_takes_the_arguments_of_the_command(folder, capsys):
    without_a_worker = argparse.Namespace(app="app_for_cli:no_worker", health_check=False, reload=False)
    with pytest.raises(SystemExit) as raised:
        run_worker(without_a_worker)
    assert raised.value.code == 1
    assert "expected a `Worker`" in capsys.readouterr().err


def test_run_worker_runs_a_worker_and_returns_nothing(folder, monkeypatch):
    ran = []
    monkeypatch.setattr(Worker, "run", lambda worker: ran.append(("run", worker.config.WORKER_PORT)))
    monkeypatch.setattr(
        Worker, "run_with_health_check", lambda worker: ran.append(("health", worker.config.WORKER_PORT))
    )
    monkeypatch.setenv("WORKER_PORT", "8083")
    assert run_worker(argparse.Namespace(app="app_for_cli:worker", health_check=False, reload=False)) is None
    assert run_worker(argparse.Namespace(app="app_for_cli:worker", health_check=True, reload=False, port=9)) is None
    assert ran == [("run", 8083), ("health", 9)]


def test_import_string_returns_an_attribute_of_a_module():
    assert import_string("os.path:join") is os.path.join
    for wrong, message in (("os", "expected `module:name`"), ("os:nah", "the module `os` has no `nah`")):
        with pytest.raises(ImportError, match=message):
            import_string(wrong)
    with pytest.raises(ModuleNotFoundError):
        import_string("no_such_module:name")


def test_without_a_command_it_shows_its_help(capsys):
    assert main([]) == 0
    assert "run a worker" in capsys.readouterr().out
    for wrong in (["run"], ["walk"], ["run", "--app", "a:b", "--port", "x"]):
        with pytest.raises(SystemExit) as raised:
            main(wrong)
        assert raised.value.code == 2


@pytest.mark.parametrize("app", ["app_for_cli:worker", "app_for_cli:Holder.worker"])
def test_it_runs_a_worker_until_a_signal(app, folder):
    with wire() as one, command(folder, one.url, "run", "--app", app, "--no-health-check") as process:
        task = one.give("first")
        assert one.result(task)["data"] == {"pid": process.pid}
        process.terminate()
        assert process.wait(LIMIT) == 0
        assert process.stderr is not None and "health" not in process.stderr.read()


def test_the_port_of_the_health_check_is_an_option(folder, unused_tcp_port):
    from urllib.request import urlopen

    port = str(unused_tcp_port)
    with wire() as one, command(folder, one.url, "run", "--app", "app_for_cli:worker", "--port", port):
        one.registered()
        with urlopen(f"http://127.0.0.1:{port}/health", timeout=LIMIT) as answer:
            assert answer.status == 200


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_worker_is_started_anew_when_a_file_changes(folder):
    with (
        wire() as one,
        command(folder, one.url, "run", "--app", "app_for_cli:worker", "--no-health-check", "--reload") as it,
    ):
        before = one.result(one.give("first", task_id="a"))["data"]["pid"]
        # Other files do not count.
        (folder / "notes.txt").write_text("no Python")
        (folder / ".venv").mkdir()
        (folder / ".venv" / "other.py").write_text("")
        program = folder / "app_for_cli.py"
        program.write_text(program.read_text().replace('"first"', '"second"'))
        os.utime(program, ns=(time.time_ns(), time.time_ns() + 1))
        one.until(lambda: len(one.registrations()) == 2, "a second registration")
        assert one.registrations()[1]["supported_tasks"] == ["second"]
        after = one.result(one.give("second", task_id="b"))["data"]["pid"]
        assert len({before, after, it.pid}) == 3
        it.send_signal(signal.SIGINT)
        assert it.wait(LIMIT) == 0
        assert it.stderr is not None
        assert it.stderr.read().count("has changed: the worker is started anew") == 1


def test_the_console_script_is_this_command():
    import tomllib

    project = tomllib.loads((pathlib.Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {
        "avtomatika": "avtomatika_worker._command_line:main",
        "worker": "avtomatika_worker.__main__:main",
    }


@pytest.mark.parametrize("port", ["99999", "-1", "http"])
@pytest.mark.parametrize("reload", [True, False])
def test_a_port_that_is_none_is_named(folder, port, reload, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["run", "--app", "app_for_cli:worker", f"--port={port}", *(["--reload"] if reload else [])])
    assert ended.value.code == 2
    assert f"argument --port: the port is `{port}`, expected a number from 0 to 65535" in capsys.readouterr().err
