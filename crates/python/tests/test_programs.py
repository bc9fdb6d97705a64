"""Whole programs, as users have written them for the existing packages, run against the real orchestrators."""

import pathlib
import sys
from contextlib import contextmanager

import orchestrators
import pytest
from avtomatika_worker.testing import LocalS3
from peers import existing
from wire import Running

PROGRAMS = pathlib.Path(__file__).parent / "programs"

OURS = "ours"

ORCHESTRATOR_OF = {"1.0b4": "1.0b12", "1.0b20": "1.0b30"}
"""The orchestrator for which each version of the existing package was made."""


def runs(version):
    """The program with this package on both orchestrators, and, to show that it is a valid program, with the existing
    package for which it is written on its own orchestrator."""
    ours = [(OURS, orchestrator) for orchestrator in orchestrators.VERSIONS]
    both = [*ours, (version, ORCHESTRATOR_OF[version])]
    return pytest.mark.parametrize(("package", "orchestrator_version"), both, ids=lambda value: str(value))


@contextmanager
def program(name, package, orchestrator_version, worker, tmp_path, storage=None):
    """Runs a program against an orchestrator, which is returned when it knows the worker, with what it knows of it."""
    python = sys.executable if package == OURS else existing(package)
    variables = dict(storage.variables) if storage else {}
    with orchestrators.running_orchestrator(orchestrator_version, **variables) as orchestrator:
        one = Running(
            (PROGRAMS / name).read_text(),
            orchestrator.url,
            python,
            WORKER_ID=worker,
            WORKER_TOKEN=orchestrators.WORKER_TOKEN,
            TASK_FILES_DIR=str(tmp_path / "files"),
            **variables,
        )
        try:
            yield orchestrator, orchestrator.worker(worker, lambda: one.process.poll() is None)
        except BaseException as error:
            one.process.kill()
            _, output = one.end()
            if package == OURS:
                error.add_note(output[-4000:])
            raise
        if package == OURS:
            # 0 is the end of `run*()`; a program that awaits `main()` handles signals itself, or not.
            code, output = one.end()
            assert code in (0, -15), output[-4000:]
        else:
            one.process.kill()
            one.end()


def known(view, **expected):
    """Whether an orchestrator knows these members of a worker."""
    return {name: view.get(name) for name in expected} == expected


@runs("1.0b4")
def test_cpu_worker(package, orchestrator_version, tmp_path):
    with program("cpu_worker.py", package, orchestrator_version, "cpu-worker-1", tmp_path) as (orchestrator, view):
        assert known(view, worker_type="cpu-worker", installed_software={"python": "3.11", "pandoc": "3.1"}), view
        assert view["capabilities"]["cost_per_skill"] == {"checksum": 0.01, "report": 0.02}
        assert (view["resources"].get("properties") or view["resources"])["cpu_cores"] == 8

        checksum = orchestrator.submit("checksum", {"text": "a", "rounds": 2})
        price = orchestrator.submit("price", {"fruit": "pear", "count": 3})
        report = orchestrator.submit("report", {"lines": ["one two", "three"]})
        background = orchestrator.submit("background", {})
        wrong = orchestrator.submit("price", {"fruit": "pear", "count": 0})

        data = orchestrator.finished(checksum)
        assert data["sha256"] == "961b6dd3ede3cb8ecbaacbd68de040cd78eb2ed5889130cceb4c49268ea4d506"
        assert orchestrator.finished(price) == {"price": 12}
        assert orchestrator.finished(report) == {"words": 3, "names": ["meta.json", "report.txt"], "there": True}
        assert orchestrator.finished(background) == {"steps": 3}
        refused = orchestrator.ended(wrong)
        assert refused["status"] == "failed"
        assert "count must be positive" in refused["error_message"]


@runs("1.0b4")
def test_gpu_worker(package, orchestrator_version, tmp_path):
    with LocalS3("pictures") as storage:
        storage.put("s3://pictures/cat.txt", b"pixels")
        at = program("gpu_worker.py", package, orchestrator_version, "gpu-worker-1", tmp_path, storage)
        with at as (orchestrator, view):
            assert known(view, worker_type="gpu-worker"), view
            assert view["installed_software"]["cuda"] == "12.1"
            assert view["capabilities"]["cost_per_skill"] == {"image_generation": 0.05}
            if orchestrator_version == "1.0b12":
                assert view["resources"]["gpu_info"] == {"model": "NVIDIA T4", "vram_gb": 16}
                assert [model["name"] for model in view["installed_models"]] == ["stable-diffusion-v1.5", "vae-ft-mse"]
            else:
                assert view["resources"]["devices"][0]["model"] == "NVIDIA T4"

            models = ["stable-diffusion-v1.5", "vae-ft-mse"]
            loaded = orchestrator.submit("load_models", {"models": models})
            assert orchestrator.finished(loaded) == {"hot": models}
            hot = orchestrator.worker("gpu-worker-1", lambda: True, lambda view: view.get("hot_skills"))
            assert "image_generation" in hot["hot_skills"]
            image = orchestrator.submit("image_generation", {"prompt": "a cat", "model": "sd"})
            assert orchestrator.finished(image) == {"prompt": "a cat", "model": "/models/sd"}
            if package != OURS:
                return  # With the versions of obstore that pip installs today, 1.0b4 downloads nothing.
            upscaled = orchestrator.finished(orchestrator.submit("upscale", {"image": "s3://pictures/cat.txt"}))
            assert upscaled["name"] == "cat.txt"
            assert storage.get(upscaled["image"]) == b"pixelspixels"


@runs("1.0b4")
def test_unreliable_worker(package, orchestrator_version, tmp_path):
    at = program("unreliable_worker.py", package, orchestrator_version, "unreliable-1", tmp_path)
    with at as (orchestrator, view):
        assert known(view, worker_type="unreliable-worker"), view
        flaky = [orchestrator.submit("flaky", {"failures": failures}) for failures in (0, 1, 2)]
        crashing = orchestrator.submit("crashing", {"failures": 1})
        hopeless = orchestrator.submit("hopeless", {})
        nameless, greeted, wrong = (
            orchestrator.submit("picky", params) for params in ({}, {"name": "Ann"}, {"name": 1})
        )
        doubtful = orchestrator.submit("review", {"confidence": 0.1}, "review")
        sure = orchestrator.submit("review", {"confidence": 0.9})

        assert [orchestrator.finished(job)["attempts"] for job in flaky] == [1, 2, 3]
        assert orchestrator.finished(crashing) == {"attempts": 2}
        assert orchestrator.ended(hopeless)["status"] == "quarantined"
        assert [orchestrator.ended(job)["status"] for job in (nameless, wrong)] == ["failed", "failed"]
        assert orchestrator.finished(greeted) == {"greeting": "hello Ann"}
        assert orchestrator.finished(doubtful) == {"reason": "low confidence"}
        orchestrator.finished(sure)


@runs("1.0b20")
def test_skills_worker(package, orchestrator_version, tmp_path):
    at = program("skills_worker.py", package, orchestrator_version, "skills-worker-1", tmp_path)
    with at as (orchestrator, view):
        assert known(view, worker_type="skills-worker"), view
        if orchestrator_version == "1.0b30":
            skills = {skill["name"]: skill for skill in view["supported_skills"]}
            assert skills["find_words"]["version"] == "1.1"
            assert skills["find_words"]["input_schema"]["required"] == ["text"]
            assert list(skills["find_words"]["events_schema"]) == ["found"]
            assert skills["transcribe"]["type"] == "audio"
            assert skills["transcribe"]["description"] == "Writes down what is said."
            assert view["resources"]["devices"][0]["id"] == "gpu-0"
            assert view["resources"]["properties"]["ram_gb"] == 128
            assert view["installed_artifacts"] == [{"name": "whisper", "version": "3", "type": "model"}]
            assert view["usage"]["devices_usage"] == [{"unit_id": "gpu-0", "load_percent": 80}]
            assert view["capabilities"]["extra"]["zone"] == "eu"

        words = orchestrator.submit("find_words", {"text": "one two"})
        transcript = orchestrator.submit("transcribe", {})
        summary = orchestrator.submit("summarize", {"text": "a long text"})
        short = orchestrator.submit("summarize", {"text": "a"}, "review")

        assert orchestrator.finished(words) == {"words": ["one", "two"], "language": "en"}
        assert orchestrator.finished(transcript) == {"text": "hello", "hot": ["transcribe"]}
        assert orchestrator.finished(summary) == {"summary": "a l"}
        assert orchestrator.finished(short) == {"reason": "too short"}
