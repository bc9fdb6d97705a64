"""The configuration: the environment, overridden by attributes set in code."""

import copy
import datetime
import os
import pathlib
import pickle
import typing

import pytest
from avtomatika_worker import Worker, _native, config
from avtomatika_worker.config import ConfigError, WorkerConfig


@pytest.fixture(autouse=True)
def no_variables_of_ours(monkeypatch):
    for variable, *_ in _native.options():
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.lower(), raising=False)
    for variable in list(os.environ):
        if variable.startswith("WORKER_"):
            monkeypatch.delenv(variable)


def test_every_option_of_the_table_is_an_attribute_with_its_type_and_no_other():
    options = {variable for variable, *_ in _native.options()}
    hints = typing.get_type_hints(WorkerConfig)
    attributes = {name for name in hints if name.isupper()}
    assert attributes == options | set(config._ALIASES)
    made = WorkerConfig()
    for name in sorted(attributes):
        value = getattr(made, name)
        members = typing.get_args(hints[name]) if type(None) in typing.get_args(hints[name]) else (hints[name],)
        kinds = tuple(typing.get_origin(member) or member for member in members)
        assert isinstance(value, kinds), name
        if float in kinds:
            assert isinstance(value, (float, type(None))), name
        documentation = getattr(WorkerConfig, name).__doc__
        assert documentation, name


def test_the_environment_comes_first_and_code_after(monkeypatch):
    monkeypatch.setenv("MAX_CONCURRENT_TASKS", "3")
    monkeypatch.setenv("WORKER_TYPE", "from-env")
    monkeypatch.setenv("WORKER_ENABLE_WEBSOCKETS", "yes")
    made = WorkerConfig()
    made.WORKER_TYPE = "from-code"
    monkeypatch.setenv("MAX_CONCURRENT_TASKS", "4")
    assert (made.MAX_CONCURRENT_TASKS, made.WORKER_TYPE, made.WORKER_ENABLE_WEBSOCKETS) == (3, "from-code", True)


def test_creating_it_never_fails_and_all_problems_are_reported_at_once(monkeypatch):
    monkeypatch.setenv("HEARTBEAT_INTERVAL", "soon")
    monkeypatch.setenv("WORKER_PORT", "70000")
    monkeypatch.setenv("S3_ACCESS_KEY", "very-secret-too")
    monkeypatch.setenv("S3_SECRET_KEY", "very-secret")
    monkeypatch.setitem(os.environb, b"WORKER_ID", b"not utf-8: \xff")
    made = WorkerConfig()
    with pytest.raises(ConfigError) as raised:
        made.validate()
    assert len(raised.value.problems) == 3
    assert "`HEARTBEAT_INTERVAL` is `soon`, expected a number of seconds, at least 0.05" in str(raised.value)
    assert "very-secret" not in str(raised.value)


def test_an_attribute_that_is_set_clears_its_variables_problem(monkeypatch):
    monkeypatch.setenv("HEARTBEAT_INTERVAL", "soon")
    made = WorkerConfig()
    with pytest.raises(ConfigError, match="at least 0.05"):
        made.HEARTBEAT_INTERVAL = 0
    with pytest.raises(ConfigError):
        made.validate()
    made.HEARTBEAT_INTERVAL = 2
    made.validate()
    assert made.HEARTBEAT_INTERVAL == 2.0


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("WORKER_ID", "w-1", "w-1"),
        ("MAX_CONCURRENT_TASKS", 5, 5),
        ("MAX_CONCURRENT_TASKS", "6", 6),
        ("MAX_CONCURRENT_TASKS", None, 10),
        ("TASK_POLL_TIMEOUT", 0.3, 0.3),
        ("WORKER_TASK_TIMEOUT", datetime.timedelta(minutes=1), 60.0),
        ("WORKER_TASK_TIMEOUT", None, None),
        ("WORKER_ENABLE_WEBSOCKETS", True, True),
        ("ENABLE_WEBSOCKETS", "off", False),
        ("TASK_FILES_DIR", pathlib.Path("/a b"), "/a b"),
        ("COST_PER_SKILL", {"a": 0.1}, {"a": 0.1}),
        ("INSTALLED_MODELS", [{"name": "m", "version": "1"}], [{"name": "m", "version": "1"}]),
        ("LOG_LEVEL", "WARNING", "warn"),
        ("WORKER_TOKEN", "t", "t"),
        ("S3_ENDPOINT_URL", "http://me:password@s3:9000", "http://me:password@s3:9000"),
        ("EXTRA_CAPABILITIES", {"rack": [1, None]}, {"rack": [1, None]}),
    ],
)
def test_values_are_pythons_own(name, value, read):
    made = WorkerConfig()
    setattr(made, name, value)
    assert getattr(made, name) == read
    assert type(getattr(made, name)) is type(read)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("MAX_CONCURRENT_TASKS", 0, "`MAX_CONCURRENT_TASKS` is `0`, expected a whole number, 1 to 10000"),
        ("MAX_CONCURRENT_TASKS", True, "`true`"),
        ("MAX_CONCURRENT_TASKS", 2.5, "`2.5`"),
        ("TASK_POLL_TIMEOUT", float("nan"), "`nan`"),
        ("COST_PER_SKILL", {"a": float("inf")}, "`COST_PER_SKILL` is not JSON"),
        ("COST_PER_SKILL", {"a": object()}, "`COST_PER_SKILL` is not JSON"),
        ("ORCHESTRATORS", [{"weight": 1}], "there is no `url`"),
        ("ORCHESTRATORS", [{"url": "http://a", "wieght": 1}], "did you mean `weight`"),
        ("EXTRA_CAPABILITIES", [1], "`EXTRA_CAPABILITIES` is not a JSON object"),
        ("WORKER_PORT", object(), "`WORKER_PORT` is of the type `object`"),
        ("WORKER_TOKEN", "line\nbreak-secret", "`WORKER_TOKEN` is `***`"),
    ],
)
def test_a_wrong_value_in_code_raises_at_once_and_changes_nothing(name, value, expected):
    made = WorkerConfig()
    before = getattr(made, name)
    with pytest.raises(ConfigError) as raised:
        setattr(made, name, value)
    assert expected in str(raised.value)
    assert "break-secret" not in str(raised.value)
    assert getattr(made, name) == before


@pytest.mark.parametrize("name", ["MAX_CONCURENT_TASKS", "max_concurrent_tasks", "MaxConcurrentTask"])
def test_an_unknown_attribute_names_the_closest_option(name):
    made = WorkerConfig()
    with pytest.raises(AttributeError, match="the closest name is `MAX_CONCURRENT_TASKS`"):
        setattr(made, name, 1)
    with pytest.raises(AttributeError, match="the closest name is `MAX_CONCURRENT_TASKS`"):
        getattr(made, name)
    assert not hasattr(made, name)
    with pytest.raises(AttributeError, match="its default"):
        del made.WORKER_ID


def test_orchestrator_url_in_code_counts_like_the_variable():
    made = WorkerConfig()
    assert [entry["url"] for entry in made.ORCHESTRATORS] == ["http://localhost:8080"]
    made.WORKER_TOKEN = "t"
    made.ORCHESTRATOR_URL = "http://code:1"
    assert made.ORCHESTRATORS == [{"url": "http://code:1", "priority": 10, "weight": 1, "token": "t"}]
    made.ORCHESTRATORS = [{"url": "http://a", "priority": 1}, {"url": "http://b", "token": "own"}]
    assert [entry.get("token") for entry in made.ORCHESTRATORS_CONFIG] == [None, "own"]
    assert [entry["token"] for entry in made.ORCHESTRATORS] == ["t", "own"]


def test_a_change_in_place_counts():
    made = WorkerConfig()
    made.COST_PER_SKILL["a"] = 2
    made.ORCHESTRATORS_CONFIG.append({"url": "http://a"})
    made.EXTRA_CAPABILITIES["rack"] = 7
    made.validate()
    native = copy.copy(made)
    assert native.COST_PER_SKILL == {"a": 2.0}
    assert [entry["url"] for entry in native.ORCHESTRATORS] == ["http://a"]
    assert native.EXTRA_CAPABILITIES == {"rack": 7}
    made.COST_PER_SKILL["b"] = float("nan")
    with pytest.raises(ConfigError, match="COST_PER_SKILL"):
        made.validate()


async def test_a_worker_takes_changes_in_place_or_reports_that_they_are_wrong():
    worker = Worker()
    worker.task("nothing")(lambda params: None)
    worker.config.ORCHESTRATORS_CONFIG.append({"url": "nowhere"})
    with pytest.raises(ConfigError, match="nowhere"):
        await worker.main()


def test_a_copy_is_independent():
    made = WorkerConfig()
    made.COST_PER_SKILL = {"a": 1}
    for other in (copy.copy(made), copy.deepcopy(made)):
        other.WORKER_TYPE = "other"
        other.COST_PER_SKILL["b"] = 2
        assert (made.WORKER_TYPE, made.COST_PER_SKILL) == ("generic-cpu-worker", {"a": 1.0})
    with pytest.raises(TypeError, match="secrets"):
        pickle.dumps(made)


def test_nothing_can_be_set_while_a_worker_runs_with_it():
    made = WorkerConfig()
    made._borrow()
    with pytest.raises(RuntimeError, match="`WORKER_TYPE` cannot be set while a worker runs"):
        made.WORKER_TYPE = "late"
    made._give_back()
    made.WORKER_TYPE = "in time"
    assert made.WORKER_TYPE == "in time"


def test_the_id_that_was_read_is_the_one_that_is_used():
    made = WorkerConfig()
    assert "WORKER_ID" not in repr(made), "showing the configuration generates no id"
    name = made.WORKER_ID
    assert name.startswith("worker-")
    assert made.WORKER_ID == name
    assert WorkerConfig().WORKER_ID != name
    assert copy.copy(made).WORKER_ID != name, "no two workers may share an id"
    assert "WORKER_ID" not in repr(made), "and the id is not set"


def test_secrets_are_not_shown(monkeypatch):
    monkeypatch.setenv("WORKER_TOKEN", "secret-1")
    made = WorkerConfig()
    made.WORKER_INDIVIDUAL_TOKEN = "secret-2"
    made.ORCHESTRATORS = [{"url": "http://a", "token": "secret-3"}]
    made.S3_ACCESS_KEY = "secret-4"
    made.S3_SECRET_KEY = "secret-5"
    made.SECRET_KEY = "secret-6"
    made.S3_ENDPOINT_URL = "http://me:secret-7@h"
    made.HTTPS_PROXY = "http://me:secret-8@p"
    shown = repr(made)
    assert "secret" not in shown
    assert "WORKER_TOKEN=***" in shown
    assert "HEARTBEAT_INTERVAL" not in shown, "only the options that were set"
