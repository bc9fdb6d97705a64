"""The configuration: the environment, overridden by attributes set in code."""

import copy
import datetime
import decimal
import enum
import functools
import ipaddress
import os
import pathlib
import pickle
import typing
import uuid

import pytest
from avtomatika_worker import Worker, _native, _options
from avtomatika_worker.config import ConfigError, WorkerConfig


class Kind(enum.Enum):
    GPU = "gpu"


class SecretText:
    """As pydantic's ``SecretStr``."""

    def __init__(self, text: str) -> None:
        self._text = text

    def get_secret_value(self) -> str:
        return self._text

    def __str__(self) -> str:
        return "***"


@pytest.fixture(autouse=True)
def no_variables_of_ours(monkeypatch):
    for variable in ("SECRET_KEY", *(variable for variable, _ in _options.PLAIN.values())):
        monkeypatch.delenv(variable, raising=False)
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
    assert attributes == options | set(_options.ALIASES) | set(_options.PLAIN)
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
        ("MAX_CONCURRENT_TASKS", 5.0, 5),
        ("MAX_CONCURRENT_TASKS", decimal.Decimal(7), 7),
        ("HEARTBEAT_INTERVAL", "3", 3.0),
        ("WORKER_ID", uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        ("WORKER_TYPE", Kind.GPU, "gpu"),
        ("WORKER_TOKEN", b"bytes", "bytes"),
        ("WORKER_TOKEN", SecretText("hidden"), "hidden"),
        ("TLS_CA_PATH", None, None),
        ("HOSTNAME", "node-7", "node-7"),
        ("IP_ADDRESS", ipaddress.ip_address("10.0.0.7"), "10.0.0.7"),
        ("SECRET_KEY", "key", "key"),
        ("SECRET_KEY", None, ""),
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
        ("ORCHESTRATORS", [{"url": "http://a", "weight": "many"}], "`weight` is not a number"),
        (
            "RESOURCES",
            {"gpu_info": [1]},
            "`RESOURCES['gpu_info']` is of the type `list`, expected a dictionary",
        ),
        ("RESOURCES", [1], "`RESOURCES` is of the type `list`, expected a dictionary"),
        (
            "RESOURCES",
            {"cpu_cores": "many"},
            "`RESOURCES['cpu_cores']` is `'many'`, expected a whole number, at least 0",
        ),
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


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("MAX_CONCURENT_TASKS", "MAX_CONCURRENT_TASKS"),
        ("max_concurrent_tasks", "MAX_CONCURRENT_TASKS"),
        ("WORKER_TOKNE", "WORKER_TOKEN"),
        ("HEARTBEAT_INTERVALL", "HEARTBEAT_INTERVAL"),
        ("RESOURCE", "RESOURCES"),
        ("ORCHESTRATOR", "ORCHESTRATORS"),
    ],
)
def test_a_misspelt_option_is_a_warning_that_names_the_closest_one(name, meant, caplog):
    made = WorkerConfig()
    with pytest.raises(AttributeError, match=f"the closest name is `{meant}`"):
        getattr(made, name)
    setattr(made, name, "secret")
    setattr(made, name, "secret")
    assert getattr(made, name) == "secret"
    warned = [record.getMessage() for record in caplog.records]
    assert warned == [f"`{name}` is not an option of the worker; the closest name is `{meant}`"]
    assert "TOKN" not in name or "secret" not in repr(made)


@pytest.mark.parametrize(
    "name",
    [
        "MODEL_PATH",
        "COST_PER_SECOND",
        "GPU_NAME",
        "LOG_FILE",
        "WORKER_NAME",
        "REDIS_URL",
        "S3_BUCKET",
        "path",
        "_private",
    ],
)
def test_attributes_of_ones_own_say_nothing(name, caplog):
    made = WorkerConfig()
    assert not hasattr(made, name)
    assert getattr(made, name, "absent") == "absent"
    setattr(made, name, 5)
    assert getattr(made, name) == 5 and vars(made)[name] == 5
    assert getattr(copy.copy(made), name) == 5 and getattr(copy.deepcopy(made), name) == 5
    delattr(made, name)
    assert not hasattr(made, name)
    with pytest.raises(AttributeError):
        delattr(made, name)
    made.validate()
    assert not caplog.records
    with pytest.raises(AttributeError, match="its default"):
        del made.WORKER_ID


def test_a_subclass_may_be_written_in_every_usual_way(monkeypatch, caplog):
    class Base(WorkerConfig):
        WORKER_TYPE = "of the class"
        MAX_CONCURRENT_TASKS = 3
        MODELS = ("a", "b")

        def __init__(self, folder: str) -> None:
            self.HEARTBEAT_INTERVAL = 2
            self.FOLDER = folder
            # Such a line in a program counts, so the environment is read after it.
            os.environ["CPU_CORES"] = "7"
            super().__init__()
            self.MODEL_PATH = os.getenv("MODEL_PATH", f"{folder}/model")
            self.RESOURCES["gpu_info"] = {"model": "RTX", "vram_gb": 24}
            self.TASK_POLL_TIMEOUT = self.poll_timeout()

        def poll_timeout(self) -> float:
            return 12

    class Derived(Base):
        MAX_CONCURRENT_TASKS = 4

        def __init__(self) -> None:
            super().__init__("/data")
            self.limit = 1

        @property
        def RESULT_MAX_RETRIES(self) -> int:
            return self.limit

    monkeypatch.setenv("CPU_CORES", "5")
    monkeypatch.setenv("WORKER_TYPE", "of the environment")
    made = Derived()
    assert isinstance(made, WorkerConfig)
    for name, value in {
        "WORKER_TYPE": "of the class",
        "MAX_CONCURRENT_TASKS": 4,
        "HEARTBEAT_INTERVAL": 2.0,
        "CPU_CORES": 7,
        "TASK_POLL_TIMEOUT": 12.0,
        "RESULT_MAX_RETRIES": 1,
    }.items():
        assert getattr(made, name) == value, name
        assert made._native.get(name) == value, name
    assert (made.MODELS, made.FOLDER, made.MODEL_PATH) == (("a", "b"), "/data", "/data/model")
    made.limit = 2
    assert made._native.get("RESULT_MAX_RETRIES") == 2
    made.WORKER_TYPE = "set"
    assert made.WORKER_TYPE == "set" and Base("/x").MAX_CONCURRENT_TASKS == 3
    assert type(copy.copy(made)) is Derived and copy.deepcopy(made).MODEL_PATH == "/data/model"
    assert repr(made).startswith("Derived(")
    assert WorkerConfig().MAX_CONCURRENT_TASKS == 10
    assert not caplog.records


def test_a_property_of_a_subclass_that_fails_raises_its_own_error():
    class Failing(WorkerConfig):
        def __init__(self) -> None:
            with pytest.raises(AttributeError, match=r"read before `super\(\).__init__\(\)`"):
                assert self.WORKER_ID
            super().__init__()

        @property
        def WORKER_TYPE(self) -> str:
            raise AttributeError("there is no model")

        @functools.cached_property
        def heavy(self) -> list[str]:
            return []

    made = Failing()
    for name in ("WORKER_TYPE", "_native"):
        with pytest.raises(AttributeError, match="there is no model"):
            getattr(made, name)
    assert made.heavy is made.heavy


async def test_the_validation_of_a_subclass_is_asked_when_the_worker_runs():
    class Strict(WorkerConfig):
        def validate(self) -> None:
            super().validate()
            raise ValueError("`MODEL_PATH` is missing")

    worker = Worker(config=Strict())
    worker.task("nothing")(lambda params: None)
    with pytest.raises(ValueError, match="`MODEL_PATH` is missing"):
        await worker.main()


def test_every_attribute_of_the_existing_packages_is_there_with_its_type():
    made = WorkerConfig()
    of_1_0b4 = {
        "HOSTNAME": str,
        "IP_ADDRESS": str,
        "RESOURCES": dict,
        "COST_PER_SKILL": dict,
        "ENABLE_WEBSOCKETS": bool,
    }
    of_1_0b20 = {
        "EXTRA_CAPABILITIES": dict,
        "HEARTBEAT_COOLDOWN": float,
        "INSTALLED_ARTIFACTS": list,
        "POLL_BACKOFF_FACTOR": float,
        "POLL_BACKOFF_INITIAL": float,
        "POLL_BACKOFF_MAX": float,
        "RATE_LIMIT_BACKOFF_FLOOR": float,
        "REGISTRATION_RETRY_INITIAL_DELAY": float,
        "REGISTRATION_RETRY_MAX_DELAY": float,
        "SECRET_KEY": str,
        "SHUTDOWN_TIMEOUT": float,
        "WORKER_ENABLE_METRICS": bool,
        "WORKER_SKILLS_DIR": str,
    }
    for name, kind in {**of_1_0b4, **of_1_0b20}.items():
        assert type(getattr(made, name)) is kind, name
        assert type(vars(made)[name]) is kind, name
    assert made.RESOURCES == {"cpu_cores": 4, "gpu_info": None, "ram_gb": 0.0, "devices": None}
    assert (made.SECRET_KEY, made.WORKER_SKILLS_DIR) == ("", "skills")


def test_options_that_have_no_effect_keep_their_values_and_say_so_once(monkeypatch, caplog):
    monkeypatch.setenv("WORKER_HEARTBEAT_COOLDOWN", "7")
    monkeypatch.setenv("WORKER_SKILLS_DIR", "more")
    monkeypatch.setenv("WORKER_ENABLE_METRICS", "true")
    monkeypatch.setenv("POLL_BACKOFF_MAX", "long")
    monkeypatch.setenv("WORKER_TOKEN", "t")
    made = WorkerConfig()
    assert (made.HEARTBEAT_COOLDOWN, made.WORKER_SKILLS_DIR, made.WORKER_ENABLE_METRICS) == (7.0, "more", True)
    assert made.POLL_BACKOFF_MAX == 60.0
    warnings = made._native.warnings()
    assert len(warnings) == 2 and not any(name in str(warnings) for name in ("SKILLS_DIR", "METRICS")), warnings
    assert "`WORKER_HEARTBEAT_COOLDOWN` has no effect: use `WORKER_HEARTBEAT_DEBOUNCE_DELAY`" in warnings
    for value in (3, 4):
        made.POLL_BACKOFF_INITIAL = value
    made.POLL_BACKOFF_FACTOR = 2.0
    made.WORKER_SKILLS_DIR = pathlib.Path("other")
    assert (made.POLL_BACKOFF_INITIAL, made.WORKER_SKILLS_DIR) == (4, pathlib.Path("other"))
    assert copy.copy(made).POLL_BACKOFF_INITIAL == 4
    made.POLL_BACKOFF_INITIAL = None
    assert made.POLL_BACKOFF_INITIAL == 1.0
    warned = [record.getMessage() for record in caplog.records]
    assert warned == ["`POLL_BACKOFF_INITIAL` has no effect: use `TASK_POLL_ERROR_DELAY`"]


def test_changes_of_the_attributes_dictionary_change_the_attributes():
    made = WorkerConfig()
    vars(made).update({"WORKER_TYPE": "updated", "MINE": 1}, TASK_FILES_DIR="/d")
    made.__dict__["MAX_CONCURRENT_TASKS"] = 3
    assert (made.WORKER_TYPE, made.MINE, made.TASK_FILES_DIR, made.MAX_CONCURRENT_TASKS) == ("updated", 1, "/d", 3)
    del vars(made)["MINE"]
    assert not hasattr(made, "MINE")
    assert "MAX_CONCURRENT_TASKS" in dir(made)


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


def test_changes_in_place_that_are_wrong_are_reported_with_all_other_problems(monkeypatch, capsys):
    monkeypatch.setenv("HEARTBEAT_INTERVAL", "soon")
    worker = Worker()
    worker.task("nothing")(lambda params: None)
    config = worker.config
    config.ORCHESTRATORS.append({"ulr": "http://a"})
    config.RESOURCES["cpu_cores"] = "many"
    with pytest.raises(ConfigError) as raised:
        config.validate()
    for name in ("`HEARTBEAT_INTERVAL` is `soon`", "ORCHESTRATORS_CONFIG", "`RESOURCES['cpu_cores']` is `'many'`"):
        assert sum(name in problem for problem in raised.value.problems) == 1, raised.value.problems
    assert len(raised.value.problems) == 3
    with pytest.raises(SystemExit) as ended:
        worker.run()
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"error: {raised.value}\n"
    del config.ORCHESTRATORS[-1]
    config.RESOURCES["cpu_cores"] = 7
    config.HEARTBEAT_INTERVAL = 3
    config.validate()
    assert b'"cpu_cores":7' in config._native.resources().replace(b" ", b"")


def test_a_copy_is_independent():
    made = WorkerConfig()
    made.COST_PER_SKILL = {"a": 1}
    for other in (copy.copy(made), copy.deepcopy(made)):
        other.WORKER_TYPE = "other"
        other.COST_PER_SKILL["b"] = 2
        assert (made.WORKER_TYPE, made.COST_PER_SKILL) == ("generic-cpu-worker", {"a": 1.0})


class Own(WorkerConfig):
    """At the top of the module, since `pickle` looks for it there."""

    WORKER_TYPE = "of-the-class"


def test_a_configuration_can_be_pickled(monkeypatch):
    monkeypatch.setenv("WORKER_TOKEN", "secret-1")
    monkeypatch.setenv("ORCHESTRATOR_URL", "http://me:secret-2@h")
    monkeypatch.setenv("WORKER_EXTRA_RACK", "7")
    monkeypatch.setenv("SOMETHING_ELSE_OF_THE_SHELL", "secret-3")
    monkeypatch.setenv("HEARTBEAT_INTERVAL", "soon")
    made = Own()
    made.S3_SECRET_KEY = "secret-4"
    made.COST_PER_SKILL = {"a": 1}
    made.COST_PER_SKILL["b"] = 2
    made.RESOURCES["properties"] = {"zone": "x"}
    made.CPU_CORES = 3
    made.WORKER_ENABLE_METRICS = True
    made.MINE = [1]
    Worker("shown", config=made)
    stored = pickle.dumps(made)
    assert b"secret-3" not in stored, "only the variables that are options"
    for name in ("WORKER_TOKEN", "ORCHESTRATOR_URL", "WORKER_EXTRA_RACK"):
        monkeypatch.delenv(name)
    other = pickle.loads(stored)
    assert type(other) is Own
    names = sorted(vars(made))
    assert [(name, getattr(other, name)) for name in names] == [(name, getattr(made, name)) for name in names]
    assert (other.WORKER_TOKEN, other.WORKER_TYPE, other.RESOURCES["cpu_cores"]) == ("secret-1", "shown", 3)
    assert other._native.get("WORKER_TYPE") == "of-the-class"
    assert other._native.effective()[1:] == made._native.effective()[1:], "all but the id, which was generated"
    with pytest.raises(ConfigError, match="HEARTBEAT_INTERVAL"):
        other.validate()
    other.COST_PER_SKILL["c"] = 3
    other.MINE.append(2)
    assert (made.COST_PER_SKILL, made.MINE) == ({"a": 1, "b": 2}, [1])
    assert pickle.loads(pickle.dumps(other)).COST_PER_SKILL == {"a": 1, "b": 2, "c": 3}
    entries = WorkerConfig()
    entries.ORCHESTRATORS = [{"url": "http://a", "token": "t", "mine": 1}]
    assert pickle.loads(pickle.dumps(entries)).ORCHESTRATORS == entries.ORCHESTRATORS


def test_what_is_set_while_a_worker_runs_is_kept_and_said_once(caplog):
    made = WorkerConfig()
    made._borrow()
    made.WORKER_TYPE = "late"
    made.WORKER_TYPE = "later"
    made.MINE = 1
    assert (made.WORKER_TYPE, made.MINE) == ("later", 1)
    warned = [record.getMessage() for record in caplog.records]
    assert warned == ["`WORKER_TYPE` was set while the worker runs: it takes effect when the worker is started again"]
    made._give_back()
    made.WORKER_ID = "in-time"
    assert len(caplog.records) == 1


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
    made.MY_API_KEY = made.db_password = made.Auth = "secret-9"
    made.DB_PASS = made.PASSPHRASE = made.MY_PWD = "secret-12"
    made.DATABASE_URL = "postgres://me:secret-10@db/x"
    made.SETTINGS = {"token": "secret-11"}
    made.MODEL_PATH = "/models"
    shown = repr(made)
    assert "secret" not in shown and "MODEL_PATH='/models'" in shown and "MY_API_KEY=***" in shown
    assert "HEARTBEAT_INTERVAL" not in shown, "only the options that were set"
