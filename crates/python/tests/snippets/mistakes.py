"""Mistakes that type checkers find: each line that ends in `error` has one."""

from avtomatika_worker import TaskFiles, Worker, WorkerConfig

config = WorkerConfig()
config.MAX_CONCURRENT_TASKS = "many"  # error
config.MAX_CONCURENT_TASKS = 5  # error
worker = Worker(max_concurrent_tasks="5")  # error
worker.task(5)  # error


async def handler(files: TaskFiles) -> None:
    number: int = await files.read("a")  # error
    await files.write("a", number)  # error
    number = await files.write("a", "b")  # error
