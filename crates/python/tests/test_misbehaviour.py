"""Exceptions, logging and code that misbehave: none of them costs a task, a slot or the shutdown."""

import collections
import dataclasses
import enum
import logging
import signal
import time

import pytest
from avtomatika_worker import ParamValidationError, SkillBlueprint, Worker
from avtomatika_worker.params import reader
from support import LIMIT, Program, beside, config, orchestrator
from wire import results, running, wire


class Falsy(Exception):
    def __len__(self):
        return 0


class NoTruth(Exception):
    def __bool__(self):
        raise RuntimeError("no truth in it")


class NoClass(Exception):
    @property
    def __class__(self):
        raise RuntimeError("no class of its own")


class NoAttributes(Exception):
    def __getattribute__(self, name):
        raise RuntimeError("it has no attributes")


class EndsAll(Exception):
    def __str__(self):
        raise SystemExit(3)


AWKWARD = [Falsy("falsy"), NoTruth("text"), NoClass("text"), NoAttributes("text"), EndsAll("text"), SystemExit(3)]


def failing(dev):
    """A worker with one slot, whose handlers raise the exception at an index of the list."""
    worker = Worker(max_concurrent_tasks=1, config=config(dev.url))

    @worker.task("on-loop")
    async def on_loop(params):
        raise AWKWARD[params["which"]]

    @worker.task("on-thread")
    def on_thread(params):
        raise AWKWARD[params["which"]]

    @worker.task("well")
    async def well(params):
        return {"data": params}

    return worker


@pytest.mark.parametrize("name", ["on-loop", "on-thread"])
def test_a_task_is_reported_even_if_inspecting_its_exception_raises(name):
    with orchestrator() as dev, beside(failing(dev)):
        for which, error in enumerate(AWKWARD):
            failure = dev.error(name, {"which": which})
            assert failure["code"] == "TRANSIENT_ERROR"
            assert failure["message"] in ("falsy", "text", "SystemExit: 3", type(error).__name__)
        assert dev.data("well", {"slot": "free"}) == {"slot": "free"}


def test_an_exception_that_counts_as_false_has_its_traceback_in_the_log(caplog):
    with orchestrator() as dev, beside(failing(dev)):
        dev.error("on-loop", {"which": 0})
        dev.error("on-thread", {"which": 0})
    assert caplog.text.count("Traceback (most recent call last)") == 2


class Broken(logging.Filter):
    def filter(self, record):
        raise KeyError("NO_SUCH")


@pytest.mark.parametrize("name", ["on-loop", "on-thread"])
def test_a_filter_of_the_log_that_raises_loses_no_task_and_no_slot(name, capsys):
    broken = Broken()
    logger = logging.getLogger("avtomatika_worker")
    logger.addFilter(broken)
    try:
        with orchestrator() as dev, beside(failing(dev)):
            assert dev.error(name, {"which": 0})["message"] == "falsy"
            assert dev.data("well", {"slot": "free"}) == {"slot": "free"}
    finally:
        logger.removeFilter(broken)
    assert "KeyError: 'NO_SUCH'" in capsys.readouterr().err


KEYBOARD = """
    import asyncio, threading
    from avtomatika_worker import Worker

    worker = Worker()

    @worker.task("interrupts")
    async def interrupts(params):
        raise KeyboardInterrupt

    @worker.task("well")
    async def well(params):
        return {"data": params}

    worker.run()
"""


def test_a_handler_that_raises_keyboard_interrupt_harms_no_other():
    with orchestrator() as dev:
        program = Program(KEYBOARD, dev.url)
        assert dev.error("interrupts")["code"] == "TRANSIENT_ERROR"
        assert dev.data("well", {"goes": "on"}) == {"goes": "on"}
        program.signal(signal.SIGTERM)
        assert program.end()[0] == 0


TO_THREAD = """
    import asyncio, time
    from avtomatika_worker import Worker

    worker = Worker()

    @worker.task("waits")
    async def waits(params):
        print("begun", flush=True)
        await asyncio.to_thread(time.sleep, params["seconds"])

    @worker.task("leaves")
    async def leaves(params):
        asyncio.get_running_loop().run_in_executor(None, time.sleep, params["seconds"])
        return {"data": await asyncio.to_thread(lambda: {"in": "a thread"})}

    worker.run()
    print("returned")
"""


def test_a_call_by_to_thread_does_not_delay_the_end():
    with orchestrator() as dev:
        program = Program(TO_THREAD, dev.url, WORKER_SHUTDOWN_TIMEOUT="0.5")
        job = dev.submit("waits", {"seconds": 100 * LIMIT})
        assert program.process.stdout.readline() == "begun\n"
        program.signal(signal.SIGTERM)
        assert dev.result(job)["error"]["message"] == "worker shut down"
        code, output = program.end()
    assert code == 1 and "1 calls by `asyncio.to_thread`" in output, output


def test_calls_that_a_handler_left_in_an_executor_are_waited_for_briefly():
    with orchestrator() as dev:
        program = Program(TO_THREAD, dev.url)
        assert dev.data("leaves", {"seconds": 0.5}) == {"in": "a thread"}
        program.signal(signal.SIGTERM)
        code, output = program.end()
    assert code == 0 and output == "returned\n", output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *(
            ({"timeout": timeout}, f"its `timeout` is `{timeout}`")
            for timeout in (-1, 0, True, float("inf"), float("nan"))
        ),
        ({"timeout": "soon"}, "the task `named`: its `timeout` is `'soon'`, expected a number of seconds above 0"),
        ({"output_statuses": "one"}, "its `output_statuses` are `'one'`, expected a list of texts"),
        ({"output_statuses": 5}, "its `output_statuses` are `5`, expected a list of texts"),
        ({"output_statuses": [5]}, "expected a list of texts"),
        ({"output_statuses": b"one"}, "expected a list of texts"),
        ({"input_schema": "{}"}, "its `input_schema` is `'{}'`, expected a dictionary"),
        ({"input_schema": {"a": {1}}}, "its `input_schema` is not JSON"),
        ({"events": ["done"]}, "its `events` is `['done']`, expected a dictionary"),
    ],
)
def test_the_options_of_a_task_are_checked_where_they_are_given(options, message):
    for register in (Worker().task, Worker().skill, SkillBlueprint().skill):
        with pytest.raises(ValueError) as raised:
            register("named", **options)(lambda params: None)
        assert message in str(raised.value) or register.__name__ == "skill"


class Status(enum.StrEnum):
    ONE = "one"
    TWO = "two"


@pytest.mark.parametrize(
    "statuses",
    [
        ["one", "two"],
        Status,
        {"one": 1, "two": 2}.keys(),
        collections.deque(["one", "two"]),
        lambda: (name for name in ("one", "two")),
    ],
)
def test_the_statuses_of_a_task_may_be_anything_that_has_texts(statuses):
    for registered in ("task", "skill"):
        worker = Worker()
        made = statuses() if callable(statuses) and statuses is not Status else statuses
        getattr(worker, registered)("named", output_statuses=made)(lambda params: None)
        for _ in range(2):  # A worker may run more than once.
            with wire("1.0b17") as side:
                worker.config = config(side.url)
                with beside(worker):
                    (skill,) = side.registered()["supported_skills"]
            assert skill["output_statuses"] == ["one", "two"]


def test_a_wrong_worker_type_and_a_wrong_configuration_are_refused():
    with pytest.raises(TypeError, match="`config` is a `dict`, expected a `WorkerConfig`"):
        Worker(config={"WORKER_ID": "w"})
    worker = Worker(worker_type=5)
    worker.task("any")(lambda params: None)
    with pytest.raises(SystemExit) as ended:
        worker.run()
    assert ended.value.code == 2


@dataclasses.dataclass
class Node:
    next: "Node | None" = None


def test_params_that_are_nested_too_deeply_for_a_type_are_invalid_input():
    raw = b'{"next": ' * 900 + b"null" + b"}" * 900
    with pytest.raises(ParamValidationError, match="nested too deeply"):
        reader(Node, {})(raw)


NOT_JSON = """
from avtomatika_worker import Worker

worker = Worker()

@worker.task("shown")
async def shown(params, metadata=None):
    return {"shown": repr(params), "metadata": repr(metadata)}

worker.run()
"""


def test_numbers_that_json_lacks_arrive_as_floats():
    numbers = {"a": float("nan"), "b": [float("inf"), float("-inf")], "c": "NaN", "d": 1.5}
    (result,) = results(NOT_JSON, [("shown", numbers, {"metadata": {"n": float("nan")}})])[0]
    assert result["data"]["shown"] == "{'a': nan, 'b': [inf, -inf], 'c': 'NaN', 'd': 1.5}"
    assert result["data"]["metadata"] in ("{'n': nan}", "None")


NAPS = """
import asyncio, logging
from avtomatika_worker import Worker

logging.basicConfig(level="INFO")
worker = Worker()

@worker.task("naps")
async def naps(params):
    for _ in range(40):
        await asyncio.sleep(0.1)
    return {}

worker.run()
"""


def test_no_handler_is_blamed_for_a_process_that_was_stopped():
    with wire() as one, running(NAPS, one.url) as program:
        task_id = one.give("naps")
        one.until(lambda: [beat for beat in one.heartbeats() if beat.get("current_tasks")])
        program.process.send_signal(signal.SIGSTOP)
        time.sleep(3)
        program.process.send_signal(signal.SIGCONT)
        assert one.result(task_id)["status"] == "success"
        output = program.output()
    assert "the process did not run" in output
    assert "blocked" not in output


STUCK = """
    import asyncio, sys, threading, time
    from avtomatika_worker import Worker

    worker = Worker()

    @worker.task("stuck")
    def sleeps(params):
        begun.set()
        time.sleep(1000)

    @worker.task("stuck_on_the_loop")
    async def sleeps_on_the_loop(params):
        begun.set()
        time.sleep(1000)

    begun = threading.Event()
"""

ON_A_THREAD = """
    threading.Thread(target=lambda: asyncio.run(worker.main()), daemon=True).start()
    begun.wait()
"""

ENDS = {
    "the end of the program": (ON_A_THREAD, 0),
    "sys.exit": (ON_A_THREAD + "    sys.exit(3)\n", 3),
    "an exception": (ON_A_THREAD + "    raise RuntimeError\n", 1),
    "sys.exit on the loop": (
        """
    async def main():
        running = asyncio.create_task(worker.main())
        await asyncio.to_thread(begun.wait)
        sys.exit(3)

    asyncio.run(main())
""",
        3,
    ),
    "SIGTERM": (
        """
    import os, signal
    threading.Thread(target=lambda: begun.wait() and os.kill(os.getpid(), signal.SIGTERM), daemon=True).start()
    worker.run()
""",
        1,
    ),
}


@pytest.mark.parametrize(
    ("task", "end"), [*(("stuck", end) for end in ENDS), ("stuck_on_the_loop", "the end of the program")]
)
def test_a_task_that_is_stuck_in_c_is_reported_however_the_program_ends(task, end):
    script, code = ENDS[end]
    with wire() as orchestrator:
        task_id = orchestrator.give(task)
        program = Program(STUCK + script, orchestrator.url, WORKER_SHUTDOWN_TIMEOUT="0.2")
        ended, output = program.end()
    assert ended == code, output
    (result,) = orchestrator.of("POST", "/result")
    assert (result.body["task_id"], result.body["status"]) == (task_id, "failure")
    assert result.body["error"] == {"code": "TRANSIENT_ERROR", "message": "worker shut down"}
    assert f"task={task} task_id={task_id}" in output
    assert not script.startswith(ON_A_THREAD) or "but the handler `sleeps" in output
