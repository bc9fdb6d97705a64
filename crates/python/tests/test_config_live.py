"""Lists and dictionaries of the configuration: read, changed in place, replaced, written back."""

import copy
import json
import pathlib

import avtomatika_worker
import pytest
from avtomatika_worker import _native
from avtomatika_worker.config import ConfigError, WorkerConfig
from wire import results

LIST = '[{"url": "http://env-a", "zone": "x"}, {"url": "http://me:pw@env-b", "priority": 5, "token": "b"}]'


@pytest.fixture(autouse=True)
def no_variables_of_ours(monkeypatch):
    for variable, *_ in _native.options():
        monkeypatch.delenv(variable, raising=False)


def in_use(config: WorkerConfig) -> dict[str, str]:
    """The orchestrators that the core has, with their tokens."""
    native = config._native
    listed = json.loads(native.get("ORCHESTRATORS_CONFIG")) or [{"url": native.get("ORCHESTRATOR_URL")}]
    return {entry["url"]: entry.get("token", native.token()) for entry in listed}


def append(config):
    config.ORCHESTRATORS.append({"url": "http://more"})


def write_back(config):
    config.ORCHESTRATORS = config.ORCHESTRATORS


def write_back_a_copy(config):
    config.ORCHESTRATORS = [dict(entry) for entry in config.ORCHESTRATORS]


def read(config):
    assert config.ORCHESTRATORS is config.ORCHESTRATORS


def own_token(config):
    config.ORCHESTRATORS[0]["token"] = "own"


def set_token(config):
    config.WORKER_TOKEN = "code"


def set_url(config):
    config.ORCHESTRATOR_URL = "http://code"


def set_list(config):
    config.ORCHESTRATORS = [{"url": "http://list"}]


def set_config(config):
    config.ORCHESTRATORS_CONFIG = [{"url": "http://list"}]


def fill_config(config):
    config.ORCHESTRATORS_CONFIG.append({"url": "http://more"})


def fill_anew(config):
    config.ORCHESTRATORS = []
    config.ORCHESTRATORS.append({"url": "http://more"})


def remove_first(config):
    del config.ORCHESTRATORS[0]


def no_url(config):
    config.ORCHESTRATOR_URL = None


def no_list(config):
    config.ORCHESTRATORS = None


def other(config):
    config.WORKER_TYPE = "other"


URL = {"ORCHESTRATOR_URL": "http://env"}
BOTH = {**URL, "ORCHESTRATORS_CONFIG": LIST}
ENV = "http://env"


@pytest.mark.parametrize(
    ("variables", "steps", "expected"),
    [
        ({}, [], {"http://localhost:8080": "t"}),
        (URL, [], {ENV: "t"}),
        (URL, [read, set_token], {ENV: "code"}),
        (URL, [append], {ENV: "t", "http://more": "t"}),
        (URL, [append, other, set_token], {ENV: "code", "http://more": "code"}),
        (URL, [set_token, append], {ENV: "code", "http://more": "code"}),
        (URL, [own_token, append, set_token], {ENV: "own", "http://more": "code"}),
        (URL, [write_back, set_token], {ENV: "code"}),
        (URL, [write_back_a_copy, set_token, append], {ENV: "code", "http://more": "code"}),
        (URL, [fill_config], {"http://more": "t"}),
        (URL, [fill_anew, other], {"http://more": "t"}),
        (URL, [set_url], {"http://code": "t"}),
        (URL, [read, set_url], {"http://code": "t"}),
        (URL, [set_url, append], {"http://code": "t", "http://more": "t"}),
        (URL, [append, set_url], {"http://code": "t"}),
        (URL, [set_url, set_list], {"http://list": "t"}),
        (URL, [set_list, set_url], {"http://code": "t"}),
        (URL, [set_list, set_url, append], {"http://code": "t", "http://more": "t"}),
        (URL, [set_list, append, set_token], {"http://list": "code", "http://more": "code"}),
        (URL, [set_list, no_list], {ENV: "t"}),
        (URL, [no_url], {"http://localhost:8080": "t"}),
        (URL, [read, no_url], {"http://localhost:8080": "t"}),
        (BOTH, [], {"http://env-a": "t", "http://env-b": "b"}),
        (BOTH, [read, set_token], {"http://env-a": "code", "http://env-b": "b"}),
        (BOTH, [write_back, own_token], {"http://env-a": "own", "http://env-b": "b"}),
        (BOTH, [append], {"http://env-a": "t", "http://env-b": "b", "http://more": "t"}),
        (BOTH, [remove_first, other], {"http://env-b": "b"}),
        (BOTH, [fill_config], {"http://env-a": "t", "http://env-b": "b", "http://more": "t"}),
        (BOTH, [set_url], {"http://code": "t"}),
        (BOTH, [read, set_url, append], {"http://code": "t", "http://more": "t"}),
        (BOTH, [no_url], {"http://env-a": "t", "http://env-b": "b"}),
        (BOTH, [set_config], {"http://list": "t"}),
        (BOTH, [no_list], {ENV: "t"}),
    ],
)
@pytest.mark.parametrize("looks", [False, True], ids=["", "reading between"])
def test_orchestrators_in_every_order(monkeypatch, variables, steps, expected, looks):
    for name, value in {"WORKER_TOKEN": "t", **variables}.items():
        monkeypatch.setenv(name, value)
    made = WorkerConfig()
    for step in steps:
        step(made)
        if looks:
            # Neither reading nor validating changes anything.
            made.ORCHESTRATORS, made.ORCHESTRATORS_CONFIG, made.validate()
    assert in_use(made) == expected
    assert [entry["url"].replace("me:pw@", "") for entry in made.ORCHESTRATORS] == list(expected)
    for copied in (copy.copy(made), copy.deepcopy(made)):
        assert in_use(copied) == expected
        copied.ORCHESTRATORS.clear()
    assert in_use(made) == expected


def test_entries_are_shown_as_the_existing_packages_show_them(monkeypatch, caplog):
    monkeypatch.setenv("WORKER_TOKEN", "t")
    monkeypatch.setenv("ORCHESTRATOR_URL", "http://me:pw@one/")
    assert WorkerConfig().ORCHESTRATORS == [{"url": "http://me:pw@one/", "priority": 1, "weight": 1}]
    monkeypatch.setenv("ORCHESTRATORS_CONFIG", LIST)
    made = WorkerConfig()
    assert made.ORCHESTRATORS == [
        {"url": "http://env-a", "zone": "x", "priority": 10, "weight": 1},
        {"url": "http://me:pw@env-b", "priority": 5, "token": "b", "weight": 1},
    ]
    assert made.ORCHESTRATORS_CONFIG is made.ORCHESTRATORS
    assert not caplog.records, "the core says at the start that `zone` has no effect"


def test_further_keys_of_entries_are_kept_and_said_once(caplog):
    made = WorkerConfig()
    entry = {"url": "http://a", "region": "eu", "wieght": 2, "priority": "3", "weight": 4.0, "client": object()}
    made.ORCHESTRATORS = [entry]
    assert made.ORCHESTRATORS[0] is entry
    made.validate()
    assert json.loads(made._native.get("ORCHESTRATORS_CONFIG"))[0] == {"url": "http://a", "priority": 3, "weight": 4}
    warned = [record.getMessage() for record in caplog.records]
    assert len(warned) == 3 and "`wieght` in entry 0 of `ORCHESTRATORS` has no effect: did you mean `weight`?" in warned


def test_entries_may_be_wrong_until_the_worker_starts():
    made = WorkerConfig()
    made.ORCHESTRATORS.append({})
    with pytest.raises(ConfigError, match="entry 1: there is no `url`"):
        made.validate()
    made.ORCHESTRATORS[1]["url"] = "http://b"
    made.validate()


def test_the_token_that_is_read_is_the_one_in_use(monkeypatch):
    monkeypatch.setenv("WORKER_TOKEN", "common")
    monkeypatch.setenv("WORKER_INDIVIDUAL_TOKEN", "own")
    made = WorkerConfig()
    assert made.WORKER_TOKEN == "own"
    made.WORKER_TOKEN = "code"
    assert (made.WORKER_TOKEN, in_use(made)) == ("code", {"http://localhost:8080": "code"})
    made.WORKER_TOKEN = None
    assert made.WORKER_TOKEN == "own"
    made.WORKER_INDIVIDUAL_TOKEN = "own code"
    made.WORKER_TOKEN = "code"
    assert made.WORKER_TOKEN == "own code", "the individual token that is set in code takes precedence"


def test_the_key_for_signatures_has_two_variables(monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "further")
    made = WorkerConfig()
    assert (made.SECRET_KEY, made.ORCHESTRATOR_SECRET_KEY) == ("further", "further")
    monkeypatch.setenv("ORCHESTRATOR_SECRET_KEY", "key")
    assert WorkerConfig().SECRET_KEY == "key"

    class Signed(WorkerConfig):
        SECRET_KEY = "of the class"

    assert Signed()._native.get("ORCHESTRATOR_SECRET_KEY") == "of the class"


def test_resources_change_in_place_and_with_the_options(caplog):
    made = WorkerConfig()
    resources = made.RESOURCES
    resources["cpu_cores"] = "8"
    made.CPU_CORES = 12
    made.GPU_MODEL = "RTX"
    assert made.RESOURCES is resources
    assert (resources["cpu_cores"], resources["gpu_info"]) == (12, {"model": "RTX", "vram_gb": 0.0})
    resources["devices"].append({"type": "npu", "serial": 5})
    resources.update(ram_gb="3.5", properties={"disk": "big"}, tpu="x", max_concurrent_tasks=7)
    sent = json.loads(made._native.resources())
    assert (sent["cpu_cores"], sent["ram_gb"], sent["properties"]) == (12, 3.5, {"disk": "big"})
    assert [device["type"] for device in sent["devices"]] == ["gpu", "npu"]
    warned = sorted(record.getMessage() for record in caplog.records)
    assert warned == [
        "`RESOURCES['devices'][1]['serial']` is not sent: put it into `properties`",
        "`RESOURCES['max_concurrent_tasks']` is not sent: set `MAX_CONCURRENT_TASKS`",
        "`RESOURCES['tpu']` is not sent: put it into `properties`",
    ]
    # The same value again, after the core has got the dictionary.
    made.CPU_CORES = 12
    assert json.loads(made._native.resources()) == sent
    assert json.loads(copy.copy(made)._native.resources()) == sent
    made.RESOURCES = None
    assert made.RESOURCES["ram_gb"] == 0.0


def test_lists_of_the_environment_are_read_as_they_are_written(monkeypatch):
    artifacts = [{"name": "m", "path": "/x"}]
    monkeypatch.setenv("INSTALLED_ARTIFACTS", json.dumps(artifacts))
    monkeypatch.setenv("INSTALLED_MODELS", "[5]")
    made = WorkerConfig()
    assert made.INSTALLED_ARTIFACTS == artifacts
    assert made.INSTALLED_MODELS == [], "one that is wrong counts as not set"
    made.INSTALLED_SOFTWARE["cuda"] = 12.5
    assert json.loads(made._native.get("INSTALLED_SOFTWARE"))["cuda"] == "12.5"


PROGRAM = """
import logging
logging.basicConfig(level=logging.INFO)
from avtomatika_worker import Worker, WorkerConfig


class Config(WorkerConfig):
    def __init__(self):
        super().__init__()
        self.MODEL_PATH = "/models"
        self.HOSTNAME = "node-7"
        self.IP_ADDRESS = "10.0.0.7"
        self.RESOURCES["gpu_info"] = {"model": "RTX", "vram_gb": 24}
        self.INSTALLED_ARTIFACTS.append({"name": "a", "version": "2", "type": "lora"})
        self.WORKER_TOKEN = "code"


worker = Worker(config=Config())


@worker.task("nothing")
async def nothing(params):
    worker.config.WORKER_TYPE = "late"
    worker.config.LATE = 1
    return {"data": {"path": worker.config.MODEL_PATH}}


# What is changed until the start counts.
worker.config.RESOURCES["ram_gb"] = 3
worker.config.ORCHESTRATORS[0]["priority"] = 2
worker.run()
"""


def test_a_program_that_configures_itself_as_with_the_existing_packages():
    variables = {
        "PYTHONPATH": str(pathlib.Path(avtomatika_worker.__file__).parent.parent),
        "WORKER_INDIVIDUAL_TOKEN": "variable",
        "GPU_ID": "g1",
        "WORKER_DEVICES": '[{"type": "npu", "id": "n1", "properties": {"arch": "x"}}]',
    }
    (result,), orchestrator, output = results(PROGRAM, [("nothing", {})], **variables)
    assert result["data"] == {"path": "/models"}, output
    (request,) = orchestrator.of("POST", "/register")
    assert {name.lower(): value for name, value in request.headers.items()}["x-worker-token"] == "code"
    body = request.body
    assert (body["capabilities"]["hostname"], body["capabilities"]["ip_address"]) == ("node-7", "10.0.0.7")
    resources = body["resources"]
    assert resources["gpu_info"] == {"model": "RTX", "vram_gb": 24}
    assert resources["devices"] == [{"type": "npu", "id": "n1", "properties": {"arch": "x"}}]
    assert resources["properties"] == {"cpu_cores": 4, "ram_gb": 3}
    assert body["installed_artifacts"] == [{"name": "a", "version": "2", "type": "lora"}]
    assert "`WORKER_TYPE` was set while the worker runs" in output and "LATE" not in output
