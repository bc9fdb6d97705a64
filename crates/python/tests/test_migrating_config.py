"""The rows of `docs/migrating.md` about requirements and the configuration."""

import json
import logging
import pathlib
import tomllib

import pytest
from avtomatika_worker import ConfigError, Worker, WorkerConfig
from avtomatika_worker._logging import LOG
from migrating import Area, connected
from wire import results, running, wire

AREA = Area("config")


def test_every_row_has_a_test_and_every_test_a_row():
    AREA.check()


PROGRAM = """
from avtomatika_worker import Worker

worker = Worker()


@worker.task("work")
async def work(params):
    return {"data": {}}


worker.run()
"""


def ended(**variables):
    """The exit code and the output of a program that ends by itself."""
    with wire() as orchestrator, running(PROGRAM, orchestrator.url, **variables) as program:
        return program.process.wait(60), program.output()


def worker(**arguments):
    made = Worker(**arguments)

    @made.task("work")
    async def work(params):
        return {"data": {}}

    return made


@AREA.row("`aiohttp`, `aiofiles`, `orjson` and others")
def test_nothing_else_is_installed():
    project = tomllib.loads((pathlib.Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert project["dependencies"] == []


@AREA.row("`==1.0b4` or `==1.0b20` in requirements")
def test_requirements():
    from packaging.specifiers import SpecifierSet

    project = tomllib.loads((pathlib.Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    satisfied = [
        requirement
        for requirement in ("==1.0b4", "==1.0b20", ">=1.0b4", ">=1.0b20", "~=1.0b4", ">=1.0a1", "==1.0.post1")
        if SpecifierSet(requirement).contains(project["version"], prereleases=True)
    ]
    assert satisfied == [">=1.0b4", ">=1.0b20", "~=1.0b4", ">=1.0a1", "==1.0.post1"]


@AREA.row("A variable that cannot be parsed")
def test_all_wrong_variables_are_reported():
    code, output = ended(HEARTBEAT_INTERVAL="soon", WORKER_PORT="none", MULTI_ORCHESTRATOR_MODE="SOMEHOW")
    assert code == 2
    assert "HEARTBEAT_INTERVAL" in output and "WORKER_PORT" in output and "`SOMEHOW`" in output
    assert "Traceback" not in output


@AREA.row("Invalid values")
@pytest.mark.parametrize(
    ("name", "value"), [("MULTI_ORCHESTRATOR_MODE", "SOMEHOW"), ("HEARTBEAT_INTERVAL", "soon"), ("WORKER_PORT", -1)]
)
def test_invalid_values(name, value, monkeypatch):
    with pytest.raises(ConfigError, match=f"`{value}`"):
        setattr(WorkerConfig(), name, value)
    monkeypatch.setenv(name, str(value))
    with pytest.raises(ConfigError, match=f"`{value}`"):
        WorkerConfig().validate()


@AREA.row("Limits that are text or negative")
@pytest.mark.parametrize(
    "arguments", [{"max_concurrent_tasks": -1}, {"task_type_limits": {"a": "2"}}, {"skill_type_limits": {"a": -1}}]
)
def test_limits(arguments):
    with pytest.raises(ValueError, match="expected a whole number"):
        Worker(**arguments)


@AREA.row("Limits such as `2.5`")
@pytest.mark.parametrize(("limit", "taken"), [(2.5, 3), (True, 1)])
def test_limits_are_rounded(limit, taken, caplog):
    LOG._said.clear()
    assert Worker(max_concurrent_tasks=limit).config.MAX_CONCURRENT_TASKS == taken
    assert f"`{limit}`" in caplog.text


@AREA.row("A variable wins over a class attribute")
def test_subclasses_win(monkeypatch):
    class Own(WorkerConfig):
        WORKER_TYPE = "of-the-class"

        def __init__(self):
            self.TASK_FILES_DIR = "/before"
            super().__init__()

    monkeypatch.setenv("WORKER_TYPE", "variable")
    monkeypatch.setenv("TASK_FILES_DIR", "/variable")
    made = Own()
    assert (made.WORKER_TYPE, made.TASK_FILES_DIR) == ("of-the-class", "/before")
    assert b"before" in made._native.get("TASK_FILES_DIR").encode()


@AREA.row("`ORCHESTRATOR_URL` has no effect")
def test_the_address_in_code(monkeypatch):
    monkeypatch.setenv("ORCHESTRATORS_CONFIG", '[{"url": "http://variable"}]')
    made = WorkerConfig()
    made.ORCHESTRATOR_URL = "http://code"
    assert [entry["url"] for entry in made.ORCHESTRATORS] == ["http://code"]


@AREA.row("`ORCHESTRATORS_CONFIG='[]'`")
@AREA.row("`WORKER_TYPE` is ignored")
def test_an_empty_list_of_orchestrators_and_the_type():
    found, one, _ = results(PROGRAM, [("work", {})], ORCHESTRATORS_CONFIG="[]", WORKER_TYPE="mine")
    assert found[0]["status"] == "success"
    assert one.registered()["worker_type"] == "mine"


@AREA.row("The variable `SECRET_KEY`")
def test_the_key_for_signatures():
    (found,), _, output = results(PROGRAM, [("work", {})], version="1.0b17", SECRET_KEY="key")
    assert found["error"]["code"] == "SECURITY_ERROR"
    assert "`SECRET_KEY` is used as `ORCHESTRATOR_SECRET_KEY`" in output


@AREA.row("`HEARTBEAT_COOLDOWN`")
@pytest.mark.parametrize(
    "name",
    [
        "HEARTBEAT_COOLDOWN",
        "POLL_BACKOFF_FACTOR",
        "POLL_BACKOFF_INITIAL",
        "POLL_BACKOFF_MAX",
        "RATE_LIMIT_BACKOFF_FLOOR",
        "REGISTRATION_RETRY_INITIAL_DELAY",
        "REGISTRATION_RETRY_MAX_DELAY",
    ],
)
def test_options_without_effect(name, caplog):
    made = WorkerConfig()
    setattr(made, name, 7.5)
    assert getattr(made, name) == 7.5
    assert f"`{name}` has no effect: " in caplog.text


@AREA.row("`http_session` and `clients`")
@pytest.mark.parametrize("name", ["http_session", "clients"])
def test_connections_are_not_passed(name, caplog):
    with caplog.at_level(logging.WARNING, "avtomatika_worker"):
        Worker(**{name: [object()]})
    assert f"`{name}` has no effect" in caplog.text


@AREA.row("`RESOURCES` has the keys of one version")
def test_resources_have_the_keys_of_both(caplog):
    made = WorkerConfig()
    assert list(made.RESOURCES) == ["cpu_cores", "gpu_info", "ram_gb", "devices"]
    made.RESOURCES["tpu"] = "v4"
    made.ORCHESTRATORS[0]["zone"] = "eu"
    assert "tpu" not in json.loads(made._native.resources())
    assert "`zone` in entry 0 of `ORCHESTRATORS` has no effect" in caplog.text
    assert "`RESOURCES['tpu']` is not sent: put it into `properties`" in caplog.text


@AREA.row("Line ends and quotes around the value")
def test_line_ends_and_quotes_around_a_variable(monkeypatch):
    monkeypatch.setenv("TASK_FILES_DIR", "'\"/data\"'")
    monkeypatch.setenv("WORKER_TOKEN", "secret\n")
    monkeypatch.setenv("WORKER_SKILLS_DIR", "'/skills'")
    monkeypatch.setenv("ORCHESTRATORS_CONFIG", """'[{"url": "http://h"}]'\n""")
    config = WorkerConfig()
    assert (str(config.TASK_FILES_DIR), config.WORKER_TOKEN) == ("/data", "secret")
    assert (config.WORKER_SKILLS_DIR, config.ORCHESTRATORS[0]["url"]) == ("/skills", "http://h")


@AREA.row("`ram_gb` is sent as 0 or 1")
@AREA.row("The address sent")
@AREA.row("`WORKER_EXTRA_RACK=7`")
@AREA.row("Numbers as versions in `INSTALLED_SOFTWARE`")
def test_what_is_sent(monkeypatch):
    monkeypatch.setenv("WORKER_EXTRA_RACK", "7")
    made = worker()
    made.config.INSTALLED_SOFTWARE["cuda"] = 12.5
    with connected(made) as (one, _):
        sent = one.registered()
    memory = pathlib.Path("/proc/meminfo").read_text().split()[1]
    assert sent["resources"]["properties"]["ram_gb"] == pytest.approx(int(memory) / 2**20, rel=0.1)
    assert sent["capabilities"]["ip_address"] == made.config.IP_ADDRESS
    assert sent["capabilities"]["extra"]["rack"] == 7
    assert sent["installed_software"]["cuda"] == "12.5"


def test_the_address_is_that_of_the_interface():
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Nothing is sent: this asks which interface would be used.
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("no interface leads out")
        assert WorkerConfig().IP_ADDRESS == probe.getsockname()[0]


@AREA.row("`del config.OPTION`")
def test_deleted_options():
    made = WorkerConfig()
    made.WORKER_TYPE = "mine"
    with pytest.raises(AttributeError, match="set it to `None`"):
        del made.WORKER_TYPE
    made.WORKER_TYPE = None
    assert made.WORKER_TYPE == "generic-cpu-worker"
