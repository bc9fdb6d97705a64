"""The Python blocks of the documents do what the documents say."""

import pathlib
import re
import types

import pytest
from avtomatika_worker.testing import TestWorker

ROOT = pathlib.Path(__file__).parents[3]


def blocks(document: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / document).read_text(), re.MULTILINE | re.DOTALL)


def run_blocks(document: str, **names) -> types.SimpleNamespace:
    """Runs all blocks of a document, one after the other, as one module."""
    module = types.ModuleType("guide")
    vars(module).update(names)
    for number, block in enumerate(blocks(document), 1):
        exec(compile(block, f"{document}, block {number}", "exec"), vars(module))
    return module


@pytest.fixture(scope="module")
def guide():
    done: list[str] = []
    module = run_blocks(
        "docs/python.md",
        write_all_of_it=lambda params: done.append("written"),
        clean_up=lambda: done.append("cleaned up"),
    )
    module.done = done
    return module


def test_every_block_of_the_guide_runs(guide):
    assert len(blocks("docs/python.md")) >= 9
    assert guide.config.HEARTBEAT_INTERVAL == 5.0


def test_the_guides_tasks_do_what_it_says(guide, capsys):
    tester = TestWorker(guide.worker)
    refused = tester.run("convert", {"format": "gif"})
    assert (refused.error_code, refused.error_details) == ("PERMANENT_ERROR", {"format": "gif"})
    assert tester.run("convert", {"format": "png"}).error_code == "CONVERTER_BUSY"
    assert tester.run("store").status == "success"
    assert guide.done == ["written"]
    run = tester.run("report")
    assert run.data["report"].endswith("/report.txt")
    assert run.files == {"report.txt": b"all is well", "rows.csv": b"a,b\n"}
    assert tester.run("report_in_a_thread").files == {"report.txt": b"all is well"}
    assert "report ended" in capsys.readouterr().out, "the middleware wraps the task"


def test_the_guides_own_tests_pass(guide, dev_orchestrator):
    guide.test_words_are_counted()
    guide.test_all_of_it(dev_orchestrator)


@pytest.mark.parametrize("document", ["README.md", "crates/python/README.md"])
def test_the_quick_starts_count_words(document):
    module = run_blocks(document)
    run = TestWorker(module.worker).run("count_words", {"text": "one two three"})
    assert (run.status, run.data) == ("success", {"words": 3})
