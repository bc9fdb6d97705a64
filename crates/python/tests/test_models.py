"""The message models: constructors, equality, subclasses."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from avtomatika_worker.models import DeviceUsage, ResourcesUsage, SkillInfo, TaskPayload, from_dict, to_dict


class Tagged(SkillInfo, frozen=True):
    extra: int = 5
    tags: list[str] = []


class Keyword(SkillInfo, kw_only=True):
    must: int


def test_fields_are_taken_by_position_and_by_name() -> None:
    skill = SkillInfo("echo", "cpu", version="2")
    assert (skill.name, skill.type, skill.version, skill.schema_dialect) == ("echo", "cpu", "2", "json-schema")
    assert repr(DeviceUsage("gpu0", 5.0)) == "DeviceUsage(unit_id='gpu0', load_percent=5.0, metrics=None)"
    with pytest.raises(TypeError, match="bogus"):
        SkillInfo("echo", bogus=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="name"):
        SkillInfo()  # type: ignore[call-arg]


def test_messages_compare_and_hash_by_their_values_and_cannot_be_changed() -> None:
    assert SkillInfo("a") == SkillInfo("a") != SkillInfo("b")
    assert hash(SkillInfo("a")) == hash(SkillInfo("a"))
    with pytest.raises(AttributeError):
        SkillInfo("a").name = "b"  # type: ignore[misc]
    with pytest.raises(TypeError, match="unhashable"):
        hash(SkillInfo("a", properties={}))
    skill = SkillInfo("a", properties={"b": 1})
    assert pickle.loads(pickle.dumps(skill)) == copy.deepcopy(skill) == skill


def test_a_subclass_adds_fields_without_a_decorator() -> None:
    one, other = Tagged("echo", extra=7), Tagged("echo")
    assert (one.extra, other.extra, one.tags) == (7, 5, [])
    assert one.tags is not other.tags
    assert Keyword("echo", must=3).must == 3
    with pytest.raises(TypeError, match="must"):
        Keyword("echo")  # type: ignore[call-arg]


def test_a_message_matches_by_position() -> None:
    match SkillInfo("echo", "cpu"):
        case SkillInfo(name, kind):
            assert (name, kind) == ("echo", "cpu")


def test_a_dictionary_leaves_defaults_out() -> None:
    assert to_dict(SkillInfo("echo")) == {"name": "echo"}
    usage = ResourcesUsage(12.5, devices_usage=[DeviceUsage("gpu0", 0.0)])
    assert to_dict(usage) == {"cpu_load_percent": 12.5, "devices_usage": [{"unit_id": "gpu0", "load_percent": 0.0}]}


def test_a_message_of_a_dictionary_ignores_unknown_members() -> None:
    members: dict[str, Any] = {"job_id": "j", "task_id": "t", "type": "echo", "unknown": 1}
    assert from_dict(TaskPayload, members) == TaskPayload("j", "t", "echo")
    with pytest.raises(ValueError, match="task_id"):
        from_dict(TaskPayload, {"job_id": "j"})
