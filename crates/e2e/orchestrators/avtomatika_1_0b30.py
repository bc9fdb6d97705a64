"""The real orchestrator 1.0b30 with its storage in memory, or in Redis, and the blueprints of these tests."""

import asyncio
import os

from avtomatika import Blueprint, OrchestratorEngine
from avtomatika.config import Config
from avtomatika.storage import MemoryStorage
from served import params_of, passed_on, redis_client, serve, strategy, timeout_of

generic = Blueprint(name="generic", api_version="v1", api_endpoint="/jobs/generic")
review = Blueprint(name="review", api_version="v1", api_endpoint="/jobs/review")
two_steps = Blueprint(name="two_steps", api_version="v1", api_endpoint="/jobs/two_steps")


# Each handler spells out its transitions, because the engine reads them from the source to find unreachable states.
@generic.handler(is_start=True)
async def dispatch(initial_data, actions):
    actions.dispatch_task(
        task_type=initial_data["task"],
        params=params_of(initial_data),
        timeout_seconds=timeout_of(initial_data),
        dispatch_strategy=strategy(),
        resource_requirements=initial_data.get("requirements"),
        transitions={"success": "finished", "failure": "failed"},
    )


@review.handler(is_start=True)
async def dispatch_for_review(initial_data, actions):
    """Finishes a job only if the custom status is taken as the transition of the same name."""
    actions.dispatch_task(
        task_type=initial_data["task"],
        params=params_of(initial_data),
        timeout_seconds=timeout_of(initial_data),
        dispatch_strategy=strategy(),
        transitions={"success": "failed", "needs_manual_review": "finished"},
    )


@two_steps.handler(is_start=True)
async def dispatch_first(initial_data, actions):
    actions.dispatch_task(
        task_type=initial_data["task"],
        params=params_of(initial_data),
        timeout_seconds=timeout_of(initial_data),
        dispatch_strategy=strategy(),
        transitions={"success": "second", "failure": "failed"},
    )


@two_steps.handler
async def second(initial_data, state_history, actions):
    actions.dispatch_task(
        task_type=initial_data["then"],
        params=passed_on(initial_data, state_history),
        timeout_seconds=timeout_of(initial_data),
        dispatch_strategy=strategy(),
        transitions={"success": "finished", "failure": "failed"},
    )


for blueprint in (generic, review, two_steps):

    @blueprint.handler(is_end=True)
    async def finished(context):
        pass

    @blueprint.handler(is_end=True)
    async def failed(context):
        pass


def storage():
    """Returns the storage: Redis, which other instances share, or the memory of this process."""
    client = redis_client()
    if client is None:
        return MemoryStorage()
    from avtomatika.storage import redis

    if "REDIS_STEALING" not in os.environ:
        # Otherwise a worker can get a task that is then assigned to another one, and its result is ignored.
        redis.LUA_STEAL = "return nil"
    return redis.RedisStorage(client)


async def main():
    engine = OrchestratorEngine(storage(), Config())
    engine.register_blueprint(generic)
    engine.register_blueprint(review)
    engine.register_blueprint(two_steps)
    await serve(engine)


asyncio.run(main())
