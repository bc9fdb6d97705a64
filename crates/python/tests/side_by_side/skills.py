"""The parts of 1.0b20: skills with all they say of themselves, blueprints, folders of skills, subtasks."""

from side_by_side.case import Case, work

NEW = ("1.0b20",)


def _skill(id: str, program: str, *params: object, **others: object) -> Case:
    return work(f"skill-{id}", program, *params, on=NEW, **others)  # type: ignore[arg-type]


SKILLS = [
    _skill(
        "members",
        """
        @worker.skill(
            "work",
            type="video",
            description="Works.",
            version="1.2.3",
            input_schema={"type": "object"},
            output_schema={"type": "object"},
            output_statuses=["success", "later"],
            events_schema={"found": {"type": "object"}},
            properties={"zone": "eu"},
        )
        async def work(params, **kwargs):
            return {"status": "success", "data": {"a": 1}}
        """,
    ),
    _skill(
        "docstring",
        '''
        @worker.skill("work")
        async def work(params: dict, **kwargs):
            """Does the work.

            At length.
            """
            return {"status": "success"}
        ''',
    ),
    _skill(
        "info",
        """
        from avtomatika_worker import SkillInfo, Worker

        worker = Worker()


        @worker.skill(SkillInfo(name="work", type="video", description="d", version="2"))
        async def work(params, **kwargs):
            return {"status": "success"}
        """,
    ),
    _skill(
        "info-with-changes",
        """
        from avtomatika_worker import SkillInfo, Worker

        worker = Worker()


        @worker.skill(SkillInfo(name="work", description="d"), version="3", description="changed")
        async def work(params, **kwargs):
            return {"status": "success"}
        """,
    ),
    _skill(
        "name-of-the-function",
        """
        @worker.skill()
        async def work(params, **kwargs):
            return {"status": "success"}
        """,
    ),
    _skill(
        "info-subclass",
        """
        from avtomatika_worker import SkillInfo, Worker


        class MySkill(SkillInfo):
            zone: str | None = None


        worker = Worker(skill_info_class=MySkill)


        @worker.skill("work", zone="eu")
        async def work(params, **kwargs):
            return {"status": "success"}
        """,
    ),
    _skill(
        "extra-members",
        """
        @worker.skill("work", zone="eu", level=3)
        async def work(params, **kwargs):
            return {"status": "success"}
        """,
    ),
    _skill(
        "schema-of-a-dataclass",
        """
        from dataclasses import dataclass
        from typing import Optional


        @dataclass
        class Size:
            width: int
            height: int = 10
            name: Optional[str] = None


        @worker.skill("work")
        async def work(params: Size, **kwargs):
            return {"data": {"width": params.width}}
        """,
        {"width": 5},
    ),
    _skill(
        "schema-of-a-model",
        """
        from pydantic import BaseModel, Field


        class Size(BaseModel):
            width: int = Field(gt=0)
            tags: list[str] = []


        class Done(BaseModel):
            area: int


        @worker.skill("work")
        async def work(params: Size, **kwargs) -> Done:
            return Done(area=params.width)
        """,
        {"width": 5},
        unanswered=NEW,
    ),
    _skill(
        "schema-of-a-typed-dict",
        """
        from typing import TypedDict


        class Size(TypedDict):
            width: int


        @worker.skill("work")
        async def work(params: Size, **kwargs):
            return {"data": {"width": params["width"]}}
        """,
        {"width": 5},
    ),
    _skill(
        "schema-of-a-dict",
        """
        @worker.skill("work")
        async def work(params: dict[str, int], **kwargs) -> dict[str, int]:
            return {"n": 1}
        """,
    ),
    _skill(
        "schemas-given-as-models",
        """
        from pydantic import BaseModel


        class Size(BaseModel):
            width: int


        class Done(BaseModel):
            area: int


        @worker.skill("work", input_schema=Size, output_schema=Done, events_schema={"found": Done})
        async def work(params, send_event, **kwargs):
            await send_event("found", {"area": 1})
            return {"data": {"area": 1}}
        """,
        {"width": 5},
    ),
    _skill(
        "input-that-does-not-fit-its-schema",
        """
        @worker.skill("work", input_schema={"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
        async def work(params, **kwargs):
            return {"data": params}
        """,
        {"n": 1},
        {"n": "text"},
        {},
    ),
    _skill(
        "output-that-does-not-fit-its-schema",
        """
        @worker.skill("work", output_schema={"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
        async def work(params, **kwargs):
            return {"data": params}
        """,
        {"n": 1},
        {"n": "text"},
    ),
    _skill(
        "status-outside-output-statuses",
        """
        @worker.skill("work", output_statuses=["success", "later"])
        async def work(params, **kwargs):
            return {"status": "never", "data": {}}
        """,
    ),
    _skill(
        "blueprint",
        """
        from avtomatika_worker import SkillBlueprint, Worker

        blueprint = SkillBlueprint()


        @blueprint.skill("work", version="1")
        async def work(params, task_id):
            return {"data": {"task": task_id}}


        @blueprint.skill("other")
        def other(params):
            return {"data": params}


        worker = Worker()
        worker.include_blueprint(blueprint)
        """,
    ),
    _skill(
        "blueprint-without-a-name",
        """
        from avtomatika_worker import SkillBlueprint, Worker

        blueprint = SkillBlueprint()


        @blueprint.skill()
        async def work(params, task_id):
            return {"data": {"task": task_id}}


        worker = Worker()
        worker.include_blueprint(blueprint)
        """,
    ),
    Case(
        "skills-dir",
        """
        import os
        import pathlib

        from avtomatika_worker import Worker

        folder = pathlib.Path(os.environ["TASK_FILES_DIR"]).parent / "skills"
        folder.mkdir()
        (folder / "reverse.py").write_text(
            "from avtomatika_worker import SkillBlueprint\\n"
            "blueprint = SkillBlueprint()\\n"
            "@blueprint.skill('reverse', version='4')\\n"
            "async def reverse(params, **kwargs):\\n"
            "    return {'data': {'text': params['text'][::-1]}}\\n"
        )
        worker = Worker(skills_dir=str(folder))
        """,
        [("reverse", {"text": "abc"})],
        on=NEW,
        late=True,
    ),
    Case(
        "skills-dir-by-variable",
        """
        import os
        import pathlib

        folder = pathlib.Path(os.environ["TASK_FILES_DIR"]).parent / "more_skills"
        folder.mkdir()
        (folder / "upper.py").write_text(
            "from avtomatika_worker import SkillBlueprint\\n"
            "blueprint = SkillBlueprint()\\n"
            "@blueprint.skill('upper')\\n"
            "async def upper(params, **kwargs):\\n"
            "    return {'data': {'text': params['text'].upper()}}\\n"
        )
        os.environ["WORKER_SKILLS_DIR"] = str(folder)

        from avtomatika_worker import Worker

        worker = Worker()
        """,
        [("upper", {"text": "abc"})],
        on=NEW,
        late=True,
    ),
    _skill(
        "load-skills",
        """
        import os
        import pathlib

        from avtomatika_worker import Worker

        folder = pathlib.Path(os.environ["TASK_FILES_DIR"]).parent / "loaded"
        folder.mkdir()
        (folder / "lower.py").write_text(
            "from avtomatika_worker import SkillBlueprint\\n"
            "blueprint = SkillBlueprint()\\n"
            "@blueprint.skill('lower')\\n"
            "async def lower(params, **kwargs):\\n"
            "    return {'data': {'text': params['text'].lower()}}\\n"
        )
        worker = Worker()


        @worker.skill("work")
        async def work(params, **kwargs):
            await worker.load_skills(str(folder))
            return {"status": "success"}
        """,
        late=True,
    ),
    _skill(
        "added-while-it-runs",
        """
        @worker.skill("work")
        async def work(params, **kwargs):
            @worker.skill("later")
            async def later(params, **kwargs):
                return {"status": "success"}

            return {"status": "success"}
        """,
        late=True,
    ),
    _skill(
        "calls-another",
        """
        from avtomatika_worker import OrchestratorClient, Worker

        worker = Worker()


        @worker.skill("work")
        async def work(params, orchestrator_client: OrchestratorClient):
            found = await orchestrator_client.call_skill("web_search", {"query": params["query"]})
            return {"result": f"Based on web search: {found['data']}"}
        """,
        {"query": "q"},
    ),
    _skill(
        "observability",
        """
        from avtomatika_worker import ObservabilityManager, Worker

        worker = Worker()


        @worker.skill("work")
        async def work(params, obs: ObservabilityManager):
            with obs.start_s3_span("get", "s3://b/k") as span:
                return {"data": {"type": type(obs).__name__, "span": span is None, "otel": obs.has_otel}}
        """,
    ),
    _skill(
        "usage-checker",
        """
        from avtomatika_worker import DeviceUsage, ResourcesUsage, Worker

        worker = Worker()
        worker.set_usage_checker(
            lambda: ResourcesUsage(
                cpu_load_percent=12.5,
                ram_used_gb=3.5,
                devices_usage=[DeviceUsage(unit_id="gpu-0", load_percent=50.0, metrics={"memory_used_gb": 4})],
            )
        )


        @worker.skill("work")
        async def work(params, **kwargs):
            return {"status": "success"}
        """,
        measured=True,
    ),
    _skill(
        "params-by-annotation-of-any-name",
        """
        from pydantic import BaseModel


        class Size(BaseModel):
            width: int


        @worker.skill("work")
        async def work(size: Size):
            return {"data": {"width": size.width}}
        """,
        {"width": 5},
    ),
    _skill(
        "readme",
        """
        from avtomatika_worker import OrchestratorClient, TaskFiles, Worker

        worker = Worker()


        @worker.skill("work")
        async def my_skill(params: dict, files: TaskFiles):
            \"\"\"Simple skill returning a greeting.\"\"\"
            return {"message": f"Hello, {params.get('name', 'World')}!"}


        @worker.on_command("reboot")
        async def handle_reboot(command: dict):
            \"\"\"Custom command received over the real-time WebSocket channel.\"\"\"
            print("Rebooting worker...")
        """,
        {"name": "Ann"},
    ),
    _skill(
        "dependencies",
        """
        from avtomatika_worker import Worker

        worker = Worker(skill_dependencies={"work": ["m1"]})


        @worker.skill("work")
        async def work(params, **kwargs):
            return {"status": "success"}
        """,
    ),
]
