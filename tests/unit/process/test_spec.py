"""The keeper's order and default names."""

import pytest

from flightlog.process.spec import RunSpec, default_pipeline


def test_arguments_and_back():
    spec = RunSpec(["sh", "-c", "echo --", "--", ""], "orders", parent="0" * 26, config="/x y/config.yml")
    again = RunSpec.from_arguments(spec.to_arguments())
    for name in RunSpec.__slots__:
        assert getattr(again, name) == getattr(spec, name)


@pytest.mark.parametrize("arguments", [[], ["--"], ["--run"], ["--what", "x", "--", "true"], ["true"], ["--run", "x"]])
def test_anything_else_is_refused(arguments):
    with pytest.raises(ValueError):
        RunSpec.from_arguments(arguments)


@pytest.mark.parametrize(
    "command, name",
    [
        ("python x.py", "x"),
        ("/usr/bin/python3.11 -u -W ignore -X dev jobs/load.py --day 1", "load"),
        ("python -m pkg.mod arg", "pkg.mod"),
        ("python -c pass", "python"),
        ("python", "python"),
        ("python -m", "python"),
        ("python pkg/__main__.py", "pkg"),
        ("pypy3 y.py", "y"),
        ("./nightly.sh", "nightly"),
        ("env A=b nice -n5 ./job.R", "job"),
        ("sh -c true", "sh"),
        ("/bin/true", "true"),
        (".py", ".py"),
    ],
)
def test_default_pipeline(command, name):
    assert default_pipeline(command.split()) == name


def test_default_pipeline_of_nothing():
    assert default_pipeline([]) == default_pipeline([""]) == "command"
