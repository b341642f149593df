"""docs/explanation/guarantees.md names tests; each of them is there."""

import os
import re

import pytest

TESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
PAGE = os.path.join(TESTS, "..", "docs", "explanation", "guarantees.md")


def rows():
    with open(PAGE, encoding="utf-8") as file:
        table = file.read().partition("## Honest limits")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ") and not line.startswith("| what happens")]
    return [line.split("|")[1:4] for line in lines]


def named():
    for what, _, kept in rows():
        for folder, files in re.findall(r"`([a-z/]+): ([a-z_, ]+)`", kept):
            for name in files.split(", "):
                yield pytest.param(folder, name, id=f"{what.strip()[:30]}-{name}")


def test_every_guarantee_names_a_test():
    assert len(rows()) > 10
    assert all(re.search(r"test_|tests/", kept) for _, _, kept in rows())


@pytest.mark.parametrize(("folder", "name"), list(named()))
def test_the_test_is_there(folder, name):
    assert os.path.exists(os.path.join(TESTS, folder, name + ".py"))
