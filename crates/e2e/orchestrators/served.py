"""What both orchestrators share: the params of a job's task, readiness, and a line for each request of a worker."""

import asyncio
import logging
import os
import sys

from aiohttp import web


def params_of(initial_data):
    """The params the job gives, or a text of `large` bytes: the client API takes no job over 1 MiB."""
    if "large" in initial_data:
        return {"text": "x" * initial_data["large"]}
    return initial_data.get("params", {})


def passed_on(initial_data, state_history):
    """The params of a second task: those members of the first one's data that the job names."""
    return {name: state_history[name] for name in initial_data["passed"]}


def timeout_of(initial_data):
    """How long the task may take, in seconds; long enough for any test that does not say."""
    return initial_data.get("timeout", 180)


class RequestLine(logging.Formatter):
    """`REQUEST GET /path 200 1700000000.123`, as the tests read it; the time is that of the answer."""

    def format(self, record):
        method, path, _ = record.first_request_line.split(" ", 2)
        return f"REQUEST {method} {path} {record.response_status} {record.created:.3f}"


def is_from_a_worker(record):
    """The tests themselves ask for the state of a job many times a second, which only hides the rest."""
    return " /_worker/" in record.first_request_line


def tell_results():
    """A line `RESULT {…}` for each result that arrives: the client API shows little of what a worker said."""
    read = web.BaseRequest.read

    async def read_and_tell(request):
        is_new = request._read_bytes is None
        body = await read(request)
        if is_new and request.path == "/_worker/tasks/result":
            sys.stdout.write(f"RESULT {body.decode()}\n")
        return body

    web.BaseRequest.read = read_and_tell


def remember_runners():
    """The runners that are set up from now on."""
    runners = []
    set_up = web.AppRunner.setup

    async def set_up_and_remember(runner):
        await set_up(runner)
        runners.append(runner)

    web.AppRunner.setup = set_up_and_remember
    return runners


async def serve_plain(runners):
    """Where workers have to show certificates, tests speak to the same application without."""
    if "PLAIN_PORT" in os.environ:
        await web.TCPSite(runners[0], "127.0.0.1", int(os.environ["PLAIN_PORT"])).start()


async def serve(engine):
    """Starts the engine, says so on standard output, and runs until the test that started it ends."""
    tell_results()
    runners = remember_runners()
    await engine.start()
    await serve_plain(runners)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(RequestLine())
    handler.addFilter(is_from_a_worker)
    access = logging.getLogger("aiohttp.access")
    access.handlers = [handler]
    access.propagate = False
    print(f"READY {os.environ['API_PORT']}", flush=True)
    # The other end is the test's: however it dies, nothing is left running.
    await asyncio.to_thread(sys.stdin.buffer.read)
    os._exit(0)
