"""A pipeline is not told where the database is; what is the user's own stays."""

import json
import os
import sys

import pytest

from acceptance.running import KEEPER, environment, run

SHOW = "import os, json; print(json.dumps({k: v for k, v in os.environ.items() if 'DSN' in k or k.startswith('PG')}))"
GIVEN = {
    "FLIGHTLOG_DSN": "host=db password=hunter2",
    "FLIGHTLOG_DSN_FILE": "/etc/flightlog/dsn",
    "PGPASSWORD": "the user's own",
    "PGSERVICE": "the user's own",
}


def test_a_supervised_command_does_not_inherit_it(tmp_path):
    env = environment(tmp_path / "home", **GIVEN)
    _, out, _ = run([*KEEPER, "--", sys.executable, "-c", SHOW], tmp_path / "home", env=env)
    assert json.loads(out) == {
        "PGPASSWORD": "the user's own",
        "PGSERVICE": "the user's own",
        "FLIGHTLOG_DSN_WITHHELD": "1",
    }


def test_nor_does_one_that_cannot_be_recorded(tmp_path):
    (tmp_path / "file").write_text("")
    env = environment(tmp_path / "file" / "home", **GIVEN)
    _, out, err = run([*KEEPER, "--", sys.executable, "-c", SHOW], tmp_path, env=env)
    assert b"not recorded" in err
    assert "FLIGHTLOG_DSN" not in json.loads(out) and "FLIGHTLOG_DSN_FILE" not in json.loads(out)


def test_where_there_is_none_nothing_is_said(tmp_path):
    _, out, _ = run([*KEEPER, "--", sys.executable, "-c", SHOW], tmp_path / "home")
    assert not [name for name in json.loads(out) if "DSN" in name]


@pytest.mark.parametrize("command", [["logs"], ["db", "status"], ["agent", "run", "--once", "--timeout", "2"]])
def test_a_command_inside_does_not_take_the_embedded_server_instead(tmp_path, command):
    env = environment(tmp_path / "home", FLIGHTLOG_DSN="host=/nowhere dbname=d user=u")
    code, _, err = run([*KEEPER, "--", sys.executable, "-m", "flightlog", *command], tmp_path / "home", env=env)
    assert code != 0 and b"not told the database" in err
    assert not os.path.exists(tmp_path / "home" / "pg")
