"""Parameters of all forms."""

from side_by_side.case import work

_SIZE = """
        from dataclasses import dataclass, field
        from typing import Optional


        @dataclass
        class Size:
            width: int
            height: int = 10
            name: Optional[str] = None

            def __post_init__(self):
                if self.width <= 0:
                    raise ValueError("Width must be positive.")


        @worker.task("work")
        async def work(params: Size, **kwargs):
            return {"data": {"type": type(params).__name__, "width": params.width, "height": params.height}}
"""

_MODEL = """
        from pydantic import BaseModel, Field


        class Size(BaseModel):
            width: int = Field(gt=0)
            height: int = Field(default=10, gt=0)
            tags: list[str] = []


        @worker.task("work")
        async def work(params: Size, **kwargs):
            return {"data": {"type": type(params).__name__, "width": params.width, "tags": params.tags}}
"""

PARAMS = [
    work(
        "dict",
        '@worker.task("work")\nasync def work(params: dict, **kwargs):\n    return {"data": params}',
        {},
        {"a": 1},
    ),
    work(
        "no-annotation",
        '@worker.task("work")\nasync def work(params, **kwargs):\n    return {"data": {"type": type(params).__name__}}',
        {"a": 1},
    ),
    work("dataclass", _SIZE, {"width": 5}, {"width": 5, "height": 6, "name": "n"}),
    work("dataclass-extra-field", _SIZE, {"width": 5, "colour": "red"}),
    work("dataclass-missing", _SIZE, {"height": 5}),
    work("dataclass-post-init", _SIZE, {"width": -1}),
    work(
        "dataclass-wrong-type",
        """
        from dataclasses import dataclass


        @dataclass
        class Size:
            width: int


        @worker.task("work")
        async def work(params: Size, **kwargs):
            return {"data": {"width": params.width}}
        """,
        {"width": "5"},
    ),
    work("dataclass-null", _SIZE, {"width": 5, "name": None}),
    work("model", _MODEL, {"width": 5, "tags": ["a"]}, {"width": "7"}),
    work("model-extra-field", _MODEL, {"width": 5, "colour": "red"}),
    work("model-missing", _MODEL, {"height": 5}),
    work("model-invalid", _MODEL, {"width": -1, "height": "no"}),
    work(
        "nested-dataclass",
        """
        from dataclasses import dataclass


        @dataclass
        class Inner:
            n: int


        @dataclass
        class Outer:
            inner: Inner
            name: str


        @worker.task("work")
        async def work(params: Outer, **kwargs):
            inner = params.inner
            return {"data": {"n": inner["n"] if isinstance(inner, dict) else inner.n, "name": params.name}}
        """,
        {"inner": {"n": 1}, "name": "x"},
    ),
    work(
        "nested-model",
        """
        from pydantic import BaseModel


        class Inner(BaseModel):
            n: int


        class Outer(BaseModel):
            inner: Inner
            many: list[Inner] = []


        @worker.task("work")
        async def work(params: Outer, **kwargs):
            return {"data": {"n": params.inner.n, "many": [one.n for one in params.many]}}
        """,
        {"inner": {"n": 1}, "many": [{"n": 2}, {"n": "3"}]},
    ),
    work(
        "future-annotations",
        """
        from __future__ import annotations

        from dataclasses import dataclass

        from avtomatika_worker import Worker

        worker = Worker()


        @dataclass
        class Size:
            width: int


        @worker.task("work")
        async def work(params: Size, **kwargs):
            return {"data": {"type": type(params).__name__}}
        """,
        {"width": 5},
    ),
    work(
        "sync-model",
        """
        from pydantic import BaseModel


        class Size(BaseModel):
            width: int


        @worker.task("work")
        def work(params: Size, **_):
            return {"data": params.model_dump()}
        """,
        {"width": 5},
        {"width": "x"},
    ),
    work(
        "enum-in-model",
        """
        import enum

        from pydantic import BaseModel


        class Colour(str, enum.Enum):
            RED = "red"


        class Paint(BaseModel):
            colour: Colour


        @worker.task("work")
        async def work(params: Paint, **kwargs):
            return {"data": {"colour": params.colour.value, "is": params.colour is Colour.RED}}
        """,
        {"colour": "red"},
    ),
    work(
        "model-in-dataclass",
        """
        from dataclasses import dataclass

        from pydantic import BaseModel


        class Inner(BaseModel):
            n: int


        @dataclass
        class Outer:
            inner: Inner


        @worker.task("work")
        async def work(params: Outer, **kwargs):
            inner = params.inner
            return {"data": {"n": inner["n"] if isinstance(inner, dict) else inner.n}}
        """,
        {"inner": {"n": 1}},
    ),
    work(
        "validator-of-a-model",
        """
        from pydantic import BaseModel, field_validator


        class Size(BaseModel):
            width: int

            @field_validator("width")
            @classmethod
            def even(cls, value):
                if value % 2:
                    raise ValueError("width must be even")
                return value


        @worker.task("work")
        async def work(params: Size, **kwargs):
            return {"data": {"width": params.width}}
        """,
        {"width": 4},
        {"width": 5},
    ),
    work(
        "params-absent",
        '@worker.task("work")\nasync def work(params, **kwargs):\n    return {"data": {"params": params}}',
        {},
    ),
]
