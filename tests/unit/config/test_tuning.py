"""What a shim takes of the compiled settings: the same defaults as the settings have, and nothing that makes no sense."""

import json

import pytest

from flightlog.config import compiled, compiling, settings
from flightlog.process.tuning import Tuning

TEXT = "metrics:\n  interval: 20s\nhang:\n  after: never\n  kill: true\n  kill_after: 2m\n"


def values(tuning):
    return tuning.interval, tuning.after, tuning.kill, tuning.kill_after


def test_defaults_are_those_of_the_settings(tmp_path):
    given = settings.Settings()
    tuning = Tuning()
    assert values(tuning) == (given.metrics.interval, given.hang.after, given.hang.kill, given.hang.kill_after)
    tuning.look(str(tmp_path / "missing"))
    assert values(tuning) == (5.0, 600.0, False, 60.0)


def test_what_the_file_says_arrives_and_goes_again(tmp_path):
    config = tmp_path / "config.yml"
    config.write_text(TEXT)
    path = str(tmp_path / "c.json")
    compiled.write(path, {}, compiling.handed_on(settings.load(str(config))))
    tuning = Tuning()
    tuning.look(path)
    assert values(tuning) == (20.0, 0.0, True, 120.0)
    compiled.write(path, {}, {"logging": {}})
    tuning.look(path)
    assert values(tuning) == values(Tuning())


@pytest.mark.parametrize(
    "broken",
    [
        {"metrics": 5, "hang": []},
        {"metrics": {"interval": "5s"}, "hang": {"after": None, "kill": "yes", "kill_after": -1}},
        {"metrics": {"interval": 1e99}, "hang": {"after": True, "kill": 1}},
    ],
)
def test_nonsense_is_the_default(tmp_path, broken):
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"v": 1, "config": {}, "settings": broken}))
    tuning = Tuning()
    tuning.look(str(path))
    assert values(tuning) == values(Tuning())


def test_settings_of_before_are_compiled_anew(tmp_path, monkeypatch):
    """A file that an older flightlog has compiled knows nothing of hangs."""
    monkeypatch.setenv("FLIGHTLOG_HOME", str(tmp_path))
    config = tmp_path / "config.yml"
    config.write_text(TEXT)
    compiling.refresh(str(config))
    from flightlog import identity

    path = compiled.path_for(identity.control_path(str(config)))
    assert compiled.is_current(path, str(config))
    found = compiled.read(path)
    del found["settings"]["hang"]
    compiled.write(path, found["config"], found["settings"])
    assert not compiled.is_current(path, str(config))
    assert compiling.refresh(str(config)) is not None and compiled.is_current(path, str(config))


@pytest.mark.parametrize("value", ["0", "never", "off", 0])
def test_never(tmp_path, value):
    config = tmp_path / "config.yml"
    config.write_text(f"hang:\n  after: {value}\nmetrics:\n  interval: {value}\n")
    found = settings.load(str(config))
    assert (found.hang.after, found.metrics.interval) == (0.0, 0.0)
