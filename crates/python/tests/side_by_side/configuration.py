"""The configuration, set in code and by variables: what is read back, and what is sent."""

from side_by_side.case import Case, work

_SHOWS = """

@worker.task("work")
async def work(params, **kwargs):
    shown = {name: getattr(config, name, "missing") for name in SHOWN}
    return {"data": {name: [type(value).__name__, value] for name, value in shown.items()}}
"""


def _configured(id: str, lines: str, *shown: str, worker: str = "Worker(config=config)", **others: object) -> Case:
    """A program that sets options in code, and shows the attributes named."""
    header = "import os\n\nfrom avtomatika_worker import Worker\nfrom avtomatika_worker.config import WorkerConfig\n\n"
    program = f"{header}config = WorkerConfig()\n{lines}\nSHOWN = {shown!r}\nworker = {worker}\n{_SHOWS}"
    return work(f"config-{id}", program, **others)  # type: ignore[arg-type]


_COMMON = (
    "COST_PER_SKILL",
    "HEARTBEAT_INTERVAL",
    "HOSTNAME",
    "IP_ADDRESS",
    "INSTALLED_SOFTWARE",
    "MAX_CONCURRENT_TASKS",
    "RESULT_MAX_RETRIES",
    "RESULT_RETRY_INITIAL_DELAY",
    "S3_ACCESS_KEY",
    "S3_DEFAULT_BUCKET",
    "S3_ENDPOINT_URL",
    "S3_REGION",
    "S3_SECRET_KEY",
    "TASK_POLL_ERROR_DELAY",
    "TASK_POLL_TIMEOUT",
    "TLS_CA_PATH",
    "TLS_CERT_PATH",
    "TLS_KEY_PATH",
    "WORKER_ID",
    "WORKER_PORT",
    "WORKER_TOKEN",
    "WORKER_TYPE",
    "ENABLE_WEBSOCKETS",
    "TASK_FILES_DIR",
    "ORCHESTRATORS",
    "RESOURCES",
    "MULTI_ORCHESTRATOR_MODE",
    "IDLE_POLL_DELAY",
)

_OF_1_0B20 = (
    "EXTRA_CAPABILITIES",
    "HEARTBEAT_COOLDOWN",
    "INSTALLED_ARTIFACTS",
    "POLL_BACKOFF_FACTOR",
    "POLL_BACKOFF_INITIAL",
    "POLL_BACKOFF_MAX",
    "RATE_LIMIT_BACKOFF_FLOOR",
    "REGISTRATION_RETRY_INITIAL_DELAY",
    "REGISTRATION_RETRY_MAX_DELAY",
    "REQUIRE_TASK_SIGNATURE",
    "SECRET_KEY",
    "SHUTDOWN_TIMEOUT",
    "STRICT_EVENT_VALIDATION",
    "WORKER_BLOB_CACHE_DIR",
    "WORKER_ENABLE_METRICS",
    "WORKER_SKILLS_DIR",
    "WORKER_TELEMETRY_DEADBAND",
    "WORKER_TELEMETRY_FORCE_INTERVAL",
)

_RESOURCES = {
    "CPU_CORES": "16",
    "GPU_MODEL": "RTX 4090",
    "GPU_VRAM_GB": "24",
    "INSTALLED_SOFTWARE": '{"python": "3.12", "ffmpeg": "6"}',
    "INSTALLED_MODELS": '[{"name": "sd", "version": "1.5"}]',
    "COST_PER_SKILL": '{"work": 0.05}',
}

CONFIGURATION = [
    _configured("defaults", "", *_COMMON),
    _configured("defaults-of-1-0b4", "", "INSTALLED_MODELS", "HEARTBEAT_DEBOUNCE_DELAY", on=("1.0b4",)),
    _configured("defaults-of-1-0b20", "", *_OF_1_0B20, on=("1.0b20",)),
    _configured(
        "variables-of-1-0b4",
        "",
        "RESOURCES",
        "INSTALLED_SOFTWARE",
        "INSTALLED_MODELS",
        "COST_PER_SKILL",
        on=("1.0b4",),
        variables=_RESOURCES,
    ),
    _configured(
        "variables-of-1-0b20",
        "",
        "RESOURCES",
        "INSTALLED_SOFTWARE",
        "INSTALLED_ARTIFACTS",
        "COST_PER_SKILL",
        "EXTRA_CAPABILITIES",
        on=("1.0b20",),
        variables={
            "CPU_CORES": "16",
            "RAM_GB": "64",
            "WORKER_DEVICES": '[{"type": "gpu", "model": "RTX 4090", "id": "0", "properties": {"vram_gb": 24}}]',
            "INSTALLED_SOFTWARE": '{"python": "3.12"}',
            "INSTALLED_ARTIFACTS": '[{"name": "sd", "version": "1.5", "type": "model"}]',
            "COST_PER_SKILL": '{"work": 0.05}',
            "WORKER_EXTRA_ZONE": "eu",
        },
    ),
    _configured(
        "gpu-variables-of-1-0b20",
        "",
        "RESOURCES",
        on=("1.0b20",),
        variables={"GPU_MODEL": "RTX 4090", "GPU_VRAM_GB": "24", "GPU_ID": "gpu-7"},
    ),
    _configured(
        "resources-in-place",
        'config.RESOURCES["cpu_cores"] = 32\nconfig.RESOURCES["gpu_info"] = {"model": "A100", "vram_gb": 80}',
        "RESOURCES",
        on=("1.0b4",),
    ),
    _configured(
        "resources-replaced",
        'config.RESOURCES = {"cpu_cores": 2, "gpu_info": {"model": "T4", "vram_gb": 16}}',
        "RESOURCES",
        on=("1.0b4",),
    ),
    _configured(
        "resources-of-1-0b20",
        'config.RESOURCES["cpu_cores"] = 32\nconfig.RESOURCES["ram_gb"] = 128.0',
        "RESOURCES",
        on=("1.0b20",),
    ),
    _configured(
        "devices-of-1-0b20",
        'config.RESOURCES["devices"] = [{"type": "gpu", "model": "A100", "id": "0", "properties": {"vram_gb": 80}}]',
        "RESOURCES",
        on=("1.0b20",),
    ),
    _configured("hostname", 'config.HOSTNAME = "render-1"\nconfig.IP_ADDRESS = "10.0.0.7"', "HOSTNAME", "IP_ADDRESS"),
    _configured("cost-per-skill", 'config.COST_PER_SKILL = {"work": 0.01}', "COST_PER_SKILL"),
    _configured("cost-per-skill-in-place", 'config.COST_PER_SKILL["work"] = 0.5', "COST_PER_SKILL"),
    _configured("cost-per-second", "config.COST_PER_SECOND = 0.01", "COST_PER_SECOND"),
    _configured("software-in-place", 'config.INSTALLED_SOFTWARE["ffmpeg"] = "6.0"', "INSTALLED_SOFTWARE"),
    _configured("software", 'config.INSTALLED_SOFTWARE = {"python": "3.11", "cuda": "12.1"}', "INSTALLED_SOFTWARE"),
    _configured(
        "models", 'config.INSTALLED_MODELS = [{"name": "sd", "version": "1.5"}]', "INSTALLED_MODELS", on=("1.0b4",)
    ),
    _configured(
        "models-in-place",
        'config.INSTALLED_MODELS.append({"name": "sd", "version": "1.5"})',
        "INSTALLED_MODELS",
        on=("1.0b4",),
    ),
    _configured(
        "artifacts",
        'config.INSTALLED_ARTIFACTS.append({"name": "sd", "version": "1.5"})',
        "INSTALLED_ARTIFACTS",
        on=("1.0b20",),
    ),
    _configured("extra-capabilities", 'config.EXTRA_CAPABILITIES["zone"] = "eu"', "EXTRA_CAPABILITIES", on=("1.0b20",)),
    _configured("own-attributes", 'config.MODEL_PATH = "/models"\nconfig.batch_size = 8', "MODEL_PATH", "batch_size"),
    _configured(
        "subclass",
        """

class MyConfig(WorkerConfig):
    def __init__(self):
        super().__init__()
        self.WORKER_TYPE = "mine"
        self.MODEL_PATH = os.getenv("MODEL_PATH", "/models")
        self.MAX_CONCURRENT_TASKS = 3


config = MyConfig()
""",
        "MODEL_PATH",
        "WORKER_TYPE",
        "MAX_CONCURRENT_TASKS",
    ),
    _configured(
        "subclass-with-class-attributes",
        '\n\nclass MyConfig(WorkerConfig):\n    MODEL = "one"\n\n\nconfig = MyConfig()\n',
        "MODEL",
    ),
    _configured("token", 'config.WORKER_TOKEN = "code"', "WORKER_TOKEN", "ORCHESTRATORS"),
    _configured(
        "token-over-individual",
        'config.WORKER_TOKEN = "code"',
        "WORKER_TOKEN",
        variables={"WORKER_INDIVIDUAL_TOKEN": "variable"},
    ),
    _configured("individual-token", "", "WORKER_TOKEN", variables={"WORKER_INDIVIDUAL_TOKEN": "variable"}),
    _configured("orchestrator-url", 'config.ORCHESTRATOR_URL = os.environ["ORCHESTRATOR_URL"]', "ORCHESTRATOR_URL"),
    _configured("orchestrators-in-place", 'config.ORCHESTRATORS[0]["token"] = "own"', "ORCHESTRATORS"),
    _configured(
        "orchestrators-in-place-then-token",
        'config.ORCHESTRATORS[0]["token"] = "own"\nconfig.WORKER_TOKEN = "later"\nconfig.WORKER_TYPE = "x"',
        "ORCHESTRATORS",
    ),
    _configured(
        "orchestrators-replaced",
        'config.ORCHESTRATORS = [{"url": os.environ["ORCHESTRATOR_URL"], "priority": 1}]',
        "ORCHESTRATORS",
    ),
    _configured(
        "orchestrators-replaced-with-token",
        'config.ORCHESTRATORS = [{"url": os.environ["ORCHESTRATOR_URL"], "priority": 1, "token": "own", "zone": "eu"}]',
        "ORCHESTRATORS",
    ),
    _configured(
        "orchestrators-written-back",
        'config.ORCHESTRATORS = config.ORCHESTRATORS\nconfig.WORKER_TOKEN = "later"',
        "ORCHESTRATORS",
    ),
    _configured(
        "orchestrators-copied-back",
        'config.ORCHESTRATORS = [dict(one) for one in config.ORCHESTRATORS]\nconfig.WORKER_TOKEN = "later"',
        "ORCHESTRATORS",
    ),
    _configured(
        "orchestrators-appended",
        'config.ORCHESTRATORS.append({"url": "http://127.0.0.1:9", "priority": 2, "weight": 5})',
        "ORCHESTRATORS",
    ),
    _configured("orchestrators-priority", 'config.ORCHESTRATORS[0]["priority"] = 5', "ORCHESTRATORS"),
    _configured("orchestrators-config", "", "ORCHESTRATORS", variables={"ORCHESTRATORS_CONFIG": "[]"}),
    _configured("limits", "config.MAX_CONCURRENT_TASKS = 3", "MAX_CONCURRENT_TASKS"),
    _configured(
        "limits-of-the-worker",
        "config.MAX_CONCURRENT_TASKS = 3",
        "MAX_CONCURRENT_TASKS",
        worker="Worker(config=config, max_concurrent_tasks=2)",
    ),
    _configured("worker-type", 'config.WORKER_TYPE = "from-config"', "WORKER_TYPE"),
    _configured(
        "worker-type-of-the-worker",
        'config.WORKER_TYPE = "from-config"',
        "WORKER_TYPE",
        worker='Worker(worker_type="from-worker", config=config)',
    ),
    _configured("worker-type-variable", "", "WORKER_TYPE", variables={"WORKER_TYPE": "from-variable"}),
    _configured(
        "strings-for-numbers",
        "config.HEARTBEAT_INTERVAL = 2\nconfig.TASK_POLL_TIMEOUT = 5",
        "HEARTBEAT_INTERVAL",
        "TASK_POLL_TIMEOUT",
    ),
    _configured(
        "after-the-worker",
        "",
        "WORKER_TYPE",
        "COST_PER_SKILL",
        worker='Worker(config=config)\nconfig.COST_PER_SKILL["work"] = 0.25',
    ),
    _configured("validate", "config.validate()\n", "WORKER_ID"),
    _configured("debounce", "config.HEARTBEAT_DEBOUNCE_DELAY = 0.2", "HEARTBEAT_DEBOUNCE_DELAY", on=("1.0b4",)),
    _configured("mode", 'config.MULTI_ORCHESTRATOR_MODE = "ROUND_ROBIN"', "MULTI_ORCHESTRATOR_MODE"),
    _configured("enable-websockets", "config.ENABLE_WEBSOCKETS = True", "ENABLE_WEBSOCKETS"),
    _configured(
        "secret-key",
        'config.SECRET_KEY = "secret"\nconfig.REQUIRE_TASK_SIGNATURE = False',
        "SECRET_KEY",
        on=("1.0b20",),
    ),
    _configured("shutdown-timeout", "config.SHUTDOWN_TIMEOUT = 3.5", "SHUTDOWN_TIMEOUT", on=("1.0b20",)),
    _configured(
        "backoff",
        "config.POLL_BACKOFF_INITIAL = 0.5\nconfig.POLL_BACKOFF_MAX = 10\nconfig.HEARTBEAT_COOLDOWN = 1",
        "POLL_BACKOFF_INITIAL",
        "POLL_BACKOFF_MAX",
        "HEARTBEAT_COOLDOWN",
        on=("1.0b20",),
    ),
    _configured("task-files-dir", 'config.TASK_FILES_DIR = config.TASK_FILES_DIR + "/deeper"', "TASK_FILES_DIR"),
    _configured(
        "attributes-in-vars",
        'KEYS = sorted(set(vars(config)) & {"WORKER_ID", "RESOURCES", "HOSTNAME"})\nconfig.KEYS = KEYS',
        "KEYS",
    ),
    work(
        "worker-attributes",
        """
        @worker.task("work")
        async def work(params, **kwargs):
            return {"data": {"type": type(worker).__name__, "callable": callable(worker.main)}}
        """,
    ),
    work(
        "worker-subclass",
        """
        from avtomatika_worker import Worker


        class MyWorker(Worker):
            def __init__(self):
                super().__init__(worker_type="mine", max_concurrent_tasks=2)
                self.counter = 0


        worker = MyWorker()


        @worker.task("work")
        async def work(params, **kwargs):
            worker.counter += 1
            return {"data": {"count": worker.counter}}
        """,
    ),
]
