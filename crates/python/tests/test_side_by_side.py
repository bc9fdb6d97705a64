"""The same program, run with the existing package and with this one, sends the same."""

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
from avtomatika_worker.testing import LocalS3
from peers import VERSIONS, existing
from side_by_side import capacity, configuration, files, handlers, middleware, params, progress, skills, storage
from side_by_side.compared import compare
from side_by_side.intended import IN_EVERY_CASE, IN_SOME_CASES, INTENDED
from side_by_side.observed import observe

# Each group is one process: starting one takes longer than most cases.
GROUPS = {
    "handlers": [*handlers.HANDLERS, *handlers.EXCEPTIONS, *params.PARAMS],
    "results": handlers.RESULTS,
    "context": [*progress.PROGRESS, *middleware.MIDDLEWARE, *files.FILES, *capacity.CAPACITY],
    "configuration": configuration.CONFIGURATION,
    "skills": skills.SKILLS,
    "storage": storage.STORAGE,
}


@contextmanager
def stored():
    """A storage with the objects of the cases; gives its variables."""
    with LocalS3(*storage.BUCKETS) as local:
        for uri, content in storage.OBJECTS.items():
            local.put(uri, content)
        yield local.variables


def test_cases_are_told_apart():
    ids = [case.id for group in GROUPS.values() for case in group]
    assert len(ids) == len(set(ids))


def test_intended_differences_name_cases_that_exist():
    ids = {case.id for group in GROUPS.values() for case in group}
    assert [name for entry in INTENDED for name in entry.cases if name not in ids] == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("group", GROUPS)
def test_sends_the_same(group, version, tmp_path):
    cases = [case for case in GROUPS[group] if version in case.on]
    if not cases:
        pytest.skip(f"no case of this group is for {version}")
    pythons = {"theirs": existing(version), "ours": sys.executable}
    with ThreadPoolExecutor() as pool, ExitStack() as stack:
        runs = {}
        for who, python in pythons.items():
            variables = stack.enter_context(stored()) if group == "storage" else {}
            runs[who] = pool.submit(observe, cases, version, python, tmp_path / who, variables)
        theirs, ours = runs["theirs"].result(), runs["ours"].result()
    found, used = [], set()
    for case in cases:
        for path, (old, new) in compare(theirs[case.id], ours[case.id]).items():
            entries = [entry for entry in INTENDED if entry.covers(case.id, version, path)]
            used |= {(entry, case.id) for entry in entries}
            if not entries:
                found.append(f"{case.id}: {path}: {version} sends {old!r}, ours {new!r}")
    ids = [case.id for case in cases]
    unused = [
        (each, name) for each in IN_SOME_CASES for name in each.expected_in(ids, version) if (each, name) not in used
    ]
    if group == "handlers":
        somewhere = {entry for entry, _ in used}
        unused += [(each, "") for each in IN_EVERY_CASE if version in each.versions and each not in somewhere]
    found += [f"{name}: {each.path}: listed as intended, and no difference: {each.reason}" for each, name in unused]
    assert found == [], "\n" + "\n".join(found)
