"""The message models: constructors, equality, subclasses."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from avtomatika_worker import models, s3, task_files, worker
from avtomatika_worker.models import (
    DeviceUsage,
    FileMetadata,
    HardwareDevice,
    InstalledArtifact,
    Resources,
    ResourcesUsage,
    SecurityContext,
    SkillInfo,
    TaskPayload,
    WorkerRegistration,
    from_dict,
    to_dict,
)


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


def test_messages_in_a_message_are_made_and_become_dictionaries() -> None:
    task: dict[str, Any] = {
        "job_id": "j",
        "task_id": "t",
        "type": "echo",
        "security": {"signature": "s"},
        "params_metadata": {"a": {"uri": "s3://b/k", "metadata": {"n": 1}}},
    }
    made = from_dict(TaskPayload, {**task, "unknown": 1})
    assert made.security == SecurityContext("s")
    assert made.params_metadata == {"a": FileMetadata("s3://b/k", metadata={"n": 1})}
    assert to_dict(made) == task
    worker: dict[str, Any] = {
        "worker_id": "w",
        "supported_skills": [{"name": "a"}],
        "resources": {"devices": [{"type": "gpu", "properties": {"type": 1}}]},
    }
    registration = from_dict(WorkerRegistration, worker)
    assert registration.supported_skills == [SkillInfo("a")]
    assert registration.resources == Resources([HardwareDevice("gpu", properties={"type": 1})])
    assert to_dict(registration) == worker
    ready = SecurityContext("q")
    assert from_dict(TaskPayload, {**task, "security": ready}).security is ready
    assert from_dict(TaskPayload, {**task, "security": None}).security is None


def test_what_is_no_message_where_one_must_be_is_named() -> None:
    members: dict[str, Any] = {"job_id": "j", "task_id": "t", "type": "echo"}
    with pytest.raises(ValueError, match="`3` is no `SecurityContext`"):
        from_dict(TaskPayload, {**members, "security": 3})
    with pytest.raises(ValueError, match="uri"):
        from_dict(TaskPayload, {**members, "params_metadata": {"a": {"size": 1}}})


class OfUnknownTypes(TaskPayload):
    further: NoSuchType | None = None  # type: ignore[name-defined]  # known to type checkers only


def test_a_subclass_with_an_unknown_type_has_the_messages_of_its_base() -> None:
    members: dict[str, Any] = {"job_id": "j", "task_id": "t", "type": "echo", "security": {}, "further": {"a": 1}}
    made = from_dict(OfUnknownTypes, members)
    assert (made.security, made.further) == (SecurityContext(), {"a": 1})


def test_there_is_one_class_of_file_metadata() -> None:
    homes: list[Any] = [models, task_files, s3, worker]
    assert {home.FileMetadata for home in homes} == {FileMetadata}
    one = FileMetadata("s3://b/k", 3, "e", {"n": 1})
    uri, size, etag = one
    assert (uri, size, etag, one[0]) == ("s3://b/k", 3, "e", "s3://b/k")
    assert to_dict(one) == {"uri": "s3://b/k", "size": 3, "etag": "e", "metadata": {"n": 1}}


# What 1.0b20 answers.
@pytest.mark.parametrize(
    ("has", "wanted", "fits"),
    [
        (2, 1, True),
        (1, 2, False),
        (1.5, 1, True),
        ("a", "a", True),
        ("A", "a", False),
        ("2", 1, False),
        (["a"], ["a", "b"], True),
        (["a", "b"], "a", True),
        ("a", ["a", "b"], True),
        ([1, 2], 3, False),
        ([], [], False),
        ({"x": 1}, {"x": 1}, True),
        ({"x": 2}, {"x": 1}, False),
        (None, None, False),
        (True, False, True),
    ],
)
def test_properties_match_what_is_required(has: Any, wanted: Any, fits: bool) -> None:
    assert HardwareDevice("gpu", properties={"p": has}).matches(HardwareDevice("gpu", properties={"p": wanted})) is fits
    assert Resources(properties={"p": has}).matches(Resources(properties={"p": wanted})) is fits
    artifact = InstalledArtifact("a", properties={"p": has})
    assert artifact.matches(InstalledArtifact("a", properties={"p": wanted})) is fits
    assert not Resources().matches(Resources(properties={"p": wanted}))
    assert Resources(properties={"p": has}).matches(Resources())


@pytest.mark.parametrize(
    ("has", "wanted", "matches"),
    [
        (SkillInfo("a", "x", version="1"), SkillInfo("a"), True),
        (SkillInfo("a"), SkillInfo("b"), False),
        (SkillInfo("a"), SkillInfo("a", "x"), False),
        (SkillInfo("a", version="2"), SkillInfo("a", version="1"), False),
        (SkillInfo("a"), SkillInfo("a", properties={"p": 1}), True),
        (HardwareDevice("cpu"), HardwareDevice("gpu"), False),
        (HardwareDevice("gpu", "NVIDIA X"), HardwareDevice("gpu", "nvidia"), True),
        (HardwareDevice("gpu"), HardwareDevice("gpu", "nvidia"), False),
        (HardwareDevice("gpu", id="1"), HardwareDevice("gpu", id="2"), False),
        (InstalledArtifact("a", "2", "x"), InstalledArtifact("a", type="y"), True),
        (InstalledArtifact("a"), InstalledArtifact("a", "1"), False),
        (InstalledArtifact("a"), InstalledArtifact("b"), False),
    ],
)
def test_messages_match_what_is_required(has: Any, wanted: Any, matches: bool) -> None:
    assert has.matches(wanted) is matches


def test_each_required_device_takes_one_device() -> None:
    small, large = (HardwareDevice("gpu", properties={"vram": size}) for size in (8, 24))
    assert Resources([HardwareDevice("cpu"), large]).matches(Resources([small]))
    assert Resources([small, large]).matches(Resources([small, small]))
    assert not Resources([small]).matches(Resources([small, small]))
    assert not Resources([small]).matches(Resources([large]))


def test_a_skill_checks_data_by_its_schemas() -> None:
    schema = {"type": "object", "required": ["x"], "properties": {"x": {"type": "integer"}}}
    skill = SkillInfo("a", input_schema=schema, output_schema={"type": "object"})
    assert skill.input_validator is not None and skill.output_validator is not None
    assert skill.input_validator({"x": 1}) == {"x": 1}
    with pytest.raises(ValueError, match="integer"):
        skill.input_validator({"x": "1"})
    with pytest.raises(ValueError, match="object"):
        skill.output_validator(None)
    assert SkillInfo("b").input_validator is SkillInfo("b").output_validator is None
    task = TaskPayload("j", "t", "a", {"x": "1"})
    assert task.validate_params(SkillInfo("a")) == (True, None)
    fits, problem = task.validate_params(skill)
    assert not fits and problem is not None and "integer" in problem
    assert TaskPayload("j", "t", "a", {"x": 1}).validate_params(skill) == (True, None)
