"""docs/reference/sdk.md and the SDK say the same, and the examples of docs/howto/runs-and-stages.md run."""

import inspect
import os
import re
import sys

import pytest
import running

import flightlog

DOCS = os.path.join(os.path.dirname(flightlog.__file__), "..", "..", "docs")
SRC = os.path.dirname(os.path.dirname(os.path.abspath(flightlog.__file__)))


def text_of(*path):
    with open(os.path.join(DOCS, *path), encoding="utf-8") as file:
        return file.read()


def calls(heading):
    """The calls that a table below *heading* names, by name."""
    part = text_of("reference", "sdk.md").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)(\([^`]*\))` \|", part, re.MULTILINE))


def signature(function):
    found = inspect.signature(function)
    kept = [
        one.replace(annotation=inspect.Parameter.empty)
        for name, one in found.parameters.items()
        if name not in ("self", "outer")
    ]
    return str(found.replace(parameters=kept, return_annotation=inspect.Signature.empty))


@pytest.mark.parametrize(
    ("heading", "where"), [("Functions", flightlog), ("Run", flightlog.Run), ("Stage", flightlog.Stage)]
)
def test_signatures(heading, where):
    documented = calls(heading)
    public = {
        name: value
        for name in dir(where)
        if not name.startswith("_") and inspect.isfunction(value := getattr(where, name))
    }
    assert set(documented) == set(public)
    for name, text in documented.items():
        assert text == signature(public[name]), name


def test_links():
    for path in (("reference", "sdk.md"), ("howto", "runs-and-stages.md")):
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text_of(*path)):
            assert os.path.exists(os.path.join(DOCS, path[0], target)), (path, target)


def test_the_examples_run(home):
    examples = re.findall(r"```python\n(.*?)```", text_of("howto", "runs-and-stages.md"), re.DOTALL)
    assert len(examples) >= 6
    for example in examples:
        done = running.run([sys.executable, "-c", example], home, env=running.environment(home, PYTHONPATH=SRC))
        assert (done[0], done[2]) == (0, b""), (example, done)
    ends = [record for record in running.records(home) if record.get("ev") == "run.ended"]
    assert len(ends) == len(examples) and {record["x"]["status"] for record in ends} == {"ok"}
