"""Where the connection string comes from, in which order, and that nobody sees it."""

import os
import subprocess
import sys

import pytest

from flightlog import wiring
from flightlog.config.settings import load, load_or_default
from flightlog.errors import ConfigError, SinkMisconfigured

SECRET = "hunter2"
DSN = f"host=db user=u password={SECRET}"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch, tmp_path):
    for name in ("FLIGHTLOG_DSN", "FLIGHTLOG_DSN_FILE", "FLIGHTLOG_DSN_WITHHELD", "FLIGHTLOG_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FLIGHTLOG_HOME", str(tmp_path / "home"))


def config(tmp_path, text, mode=0o600):
    path = tmp_path / "config.yml"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def secret_file(tmp_path, text=DSN, mode=0o600, name="dsn"):
    path = tmp_path / name
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_the_order(tmp_path, monkeypatch):
    inline = config(tmp_path, "database:\n  dsn: host=inline\n")
    assert load(inline).database.dsn == "host=inline"
    monkeypatch.setenv("FLIGHTLOG_DSN_FILE", secret_file(tmp_path, "host=file-of-environment\n"))
    assert load(inline).database.dsn == "host=file-of-environment"
    monkeypatch.setenv("FLIGHTLOG_DSN", "host=environment")
    assert load(inline).database.dsn == "host=environment"


def test_a_file_beside_the_config(tmp_path):
    secret_file(tmp_path, f"\n  {DSN}  \n# a comment\n", name="secret")
    assert load(config(tmp_path, "database:\n  dsn_file: secret\n")).database.dsn == DSN


def test_both_is_one_too_many(tmp_path):
    with pytest.raises(ConfigError, match="both"):
        load(config(tmp_path, "database:\n  dsn: host=x\n  dsn_file: y\n"))


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o666, 0o620, 0o602])
def test_a_file_with_a_password_that_others_can_see_is_refused(tmp_path, monkeypatch, mode):
    path = secret_file(tmp_path, mode=mode)
    monkeypatch.setenv("FLIGHTLOG_DSN_FILE", path)
    with pytest.raises(ConfigError) as caught:
        load("")
    assert path in caught.value.message and caught.value.hint == f"chmod 600 {path}"
    assert SECRET not in caught.value.message
    found, problem = load_or_default("")
    assert found.database.dsn == "" and problem is not None
    secret_file(tmp_path, "host=db user=u", mode=mode)
    assert load("").database.dsn == "host=db user=u"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_the_groups_right_counts_unless_root_gave_it(tmp_path, monkeypatch):
    path = secret_file(tmp_path, mode=0o640)
    monkeypatch.setenv("FLIGHTLOG_DSN_FILE", path)
    assert load("").database.dsn == DSN  # root:flightlog 0640 is how a service gets it
    os.chown(path, 65534, 65534)
    with pytest.raises(ConfigError, match="its group"):
        load("")


@pytest.mark.parametrize("make", ["missing", "directory", "fifo", "empty"])
def test_a_file_that_is_none(tmp_path, monkeypatch, make):
    path = tmp_path / "dsn"
    if make == "directory":
        path.mkdir()
    elif make == "fifo":
        os.mkfifo(path)
    elif make == "empty":
        path.write_text("\n")
    monkeypatch.setenv("FLIGHTLOG_DSN_FILE", str(path))
    with pytest.raises(ConfigError, match="FLIGHTLOG_DSN_FILE"):
        load("")


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660])
def test_a_config_with_a_password_that_others_can_see_is_warned_of(tmp_path, mode):
    (warning,) = load(config(tmp_path, f"database:\n  dsn: {DSN}\n", mode)).warnings
    assert "config.yml" in warning and "chmod" in warning and "database.dsn_file" in warning and SECRET not in warning
    assert load(config(tmp_path, f"database:\n  dsn: {DSN}\n", 0o640)).warnings == ()
    assert load(config(tmp_path, "database:\n  dsn: host=db user=u\n", mode)).warnings == ()
    assert load(config(tmp_path, "database:\n  dsn: postgresql://u:hunter2@db/x\n", mode)).warnings != ()


def test_settings_do_not_show_it(tmp_path):
    found = load(config(tmp_path, f"database:\n  dsn: {DSN}\n"))
    assert SECRET not in repr(found) and SECRET not in str(found) and "not shown" in repr(found)
    assert found.database.dsn == DSN  # it is there all the same


def test_insecure_goes_with_the_string(tmp_path):
    assert not load(config(tmp_path, "database:\n  dsn: host=db\n")).database.dsn.insecure
    assert load(config(tmp_path, "database:\n  dsn: host=db\n  tls: insecure-allowed\n")).database.dsn.insecure
    with pytest.raises(ConfigError, match="none of verify-full, insecure-allowed"):
        load(config(tmp_path, "database:\n  tls: maybe\n"))


@pytest.mark.parametrize(
    "text",
    [
        "database:\n  dsn: host=db\nagent:\n  batch_rows: many\n",
        "database:\n  dsn_file: nowhere\n",
        "database:\n dsn: host=db\n  : broken\n",
        "database: {dsn: host=db, tls: no}\n",
    ],
)
def test_a_broken_config_never_means_the_embedded_server_instead(tmp_path, monkeypatch, text):
    monkeypatch.setenv("FLIGHTLOG_CONFIG", config(tmp_path, text))
    assert not wiring.is_embedded()
    with pytest.raises(SinkMisconfigured, match="no database is known: .*config.yml|no database is known: .*nowhere"):
        wiring.make_sink()
    monkeypatch.setenv("FLIGHTLOG_DSN", "host=/nowhere")
    assert wiring.store_dsn() == "host=/nowhere"


def test_a_broken_config_that_names_no_database_is_an_empty_one(tmp_path, monkeypatch):
    monkeypatch.setenv("FLIGHTLOG_CONFIG", config(tmp_path, "agent:\n  batch_rows: many\n"))
    assert wiring.is_embedded()


def test_no_command_takes_it_as_an_option():
    """What stands on a command line, everybody can read."""
    import click

    from flightlog.cli import group

    def commands(command, context):
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                yield from commands(command.get_command(context, name), context)
        else:
            yield command

    seen = 0
    for command in commands(group.flightlog, click.Context(group.flightlog)):
        for parameter in command.params:
            seen += 1
            assert not any("dsn" in option or "password" in option for option in parameter.opts), command.name
    assert seen > 20


def test_an_error_of_a_command_does_not_show_it(tmp_path):
    env = {key: value for key, value in os.environ.items() if not key.startswith("FLIGHTLOG_")}
    commands = (["db", "status"], ["logs"], ["agent", "status"], ["agent", "run", "--once", "--timeout", "1"])
    wrong = f"postgresql://u:{SECRET} @h/d"
    nowhere = f"host=/nowhere-x dbname=d user=u password={SECRET}"
    unknown = f"host=db.invalid password={SECRET} sslmode=require"
    for dsn, command in [*((wrong, one) for one in commands), *zip((nowhere, unknown) * 2, commands)]:
        done = subprocess.run(
            [sys.executable, "-m", "flightlog", *command],
            env=dict(env, FLIGHTLOG_HOME=str(tmp_path / "home"), FLIGHTLOG_DSN=dsn),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert SECRET not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr, done.stderr


def test_a_file_that_the_variable_names_and_that_is_not_there_is_a_mistake(tmp_path, monkeypatch):
    """Seen: a mistyped FLIGHTLOG_CONFIG made the agent ship into the embedded server, in silence."""
    monkeypatch.setenv("FLIGHTLOG_CONFIG", str(tmp_path / "mistyped.yml"))
    with pytest.raises(ConfigError, match="mistyped.yml, which is not there"):
        load()
    chosen, problem = load_or_default()
    assert "is not there" in chosen.database.problem and problem is not None
