"""The installed wheel: its metadata, and the texts of its licences."""

from __future__ import annotations

import importlib.metadata
import pathlib

import pytest


@pytest.fixture
def distribution():
    try:
        return importlib.metadata.distribution("avtomatika-worker")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the wheel is not installed")


def test_the_wheel_contains_the_texts_of_its_licences(distribution):
    assert distribution.metadata["License-Expression"] == "MIT OR Apache-2.0"
    names = distribution.metadata.get_all("License-File")
    assert sorted(names) == ["LICENSE-APACHE", "LICENSE-MIT"]
    for name in names:
        (file,) = [file for file in distribution.files if file.match(f"*.dist-info/licenses/{name}")]
        expected = pathlib.Path(__file__).parents[3] / name
        assert pathlib.Path(file.locate()).read_text() == expected.read_text()


def test_the_metadata_names_where_things_are(distribution):
    urls = dict(link.split(", ", 1) for link in distribution.metadata.get_all("Project-URL"))
    assert {"Documentation", "Repository", "Changelog", "Issues"} <= set(urls)
    assert distribution.metadata["Keywords"] and distribution.metadata["Summary"]
    assert distribution.metadata.get_payload().startswith("# avtomatika-worker for Python")
