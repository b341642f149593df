"""What `logging.redact` says reaches every interpreter that `flightlog run` starts, and programs that run already."""

import os
import subprocess
import sys

import pytest

from acceptance import running
from acceptance.test_injected import VERSIONS, interpreter, journalled, supervised
from waiting import wait_until

CONFIG = "logging:\n  redact:\n    keys: [customer_ssn]\n    allow: [token_budget]\n    patterns: ['acct-\\d{6}']\n"
PROGRAM = """
import logging, sys
logging.basicConfig(level=logging.INFO)
logging.info('password=%s and acct-123456 card 4111 1111 1111 1111', 'zq1')
logging.info('mapping', extra={'Customer-SSN': 'zq2', 'token_budget': 5, 'h': [{'cookie': 'zq3'}], 'u': 'postgres://u:zq4@h'})
import flightlog
flightlog.get_logger('native').info('acct-654321', customer_ssn='zq5', short='acct-000000', jwt='eyJhbGciOiJI.eyJzdWIi.zq6')
try:
    raise ValueError('customer_ssn: zq7')
except ValueError:
    logging.exception('failed')
"""
LOOP = """
import os, time, flightlog
log = flightlog.get_logger()
bound = log.bind()
flightlog.init('loop')
while not os.path.exists('stop'):
    log.info('round', customer_ssn='4711')
    time.sleep(0.05)
"""


@pytest.mark.parametrize("version", [*VERSIONS, "pypy3"])
def test_every_interpreter_masks_the_same(tmp_path, version):
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    (tmp_path / "config.yml").write_text(CONFIG)
    (tmp_path / "x.py").write_text(PROGRAM)
    done = supervised(tmp_path, [python, str(tmp_path / "x.py"), "--customer-ssn", "zq8"])
    assert done.returncode == 0, done
    records = journalled(tmp_path / "home")
    assert "zq" not in str(records) and "acct-1" not in str(records) and "4111 1111" not in str(records)
    logs = [r for r in records if r["k"] == "log"]
    assert logs[0]["m"] == "password=[redacted] and [redacted] card [redacted]"
    assert logs[1]["x"] == {
        "Customer-SSN": "[redacted]",
        "token_budget": 5,
        "h": [{"cookie": "[redacted]"}],
        "u": "postgres://u:[redacted]@h",
    }
    assert (logs[2]["m"], logs[2]["x"]) == (
        "[redacted]",
        {"customer_ssn": "[redacted]", "short": "[redacted]", "jwt": "[redacted]"},
    )
    assert logs[3]["e"]["message"] == "customer_ssn: [redacted]"


def told(home):
    return [r["x"]["customer_ssn"] for r in journalled(home) if r["k"] == "log"]


def test_a_program_that_runs_hears_of_new_rules_from_the_agent(home, tmp_path):
    config = tmp_path / "config.yml"
    config.write_text("spool:\n  keep: 1h\n")
    env = running.environment(home, FLIGHTLOG_CONFIG=str(config), FLIGHTLOG_DSN="host=/nowhere")
    agent = subprocess.Popen([sys.executable, "-m", "flightlog", "agent", "run"], env=env, stderr=subprocess.PIPE)
    program = subprocess.Popen([sys.executable, "-c", LOOP], env=env, cwd=tmp_path)
    where = type(tmp_path)(home)
    try:
        wait_until(lambda: "4711" in told(where), 20, "the first record")
        config.write_text(CONFIG)
        wait_until(lambda: told(where)[-1] == "[redacted]", 20, "the new rule")
        config.write_text(CONFIG + "  - oops\n")  # breaks the file: what it said before holds
        heard = agent.stderr.readline() + agent.stderr.readline()
        while b"not taken" not in heard:
            heard += agent.stderr.readline()
        assert b"config.yml:" in heard
        config.write_text("logging:\n  redact:\n    enabled: false\n")
        wait_until(lambda: told(where)[-1] == "4711", 20, "the rules to be gone")
    finally:
        (tmp_path / "stop").touch()
        program.wait(20)
        agent.terminate()
        agent.communicate(timeout=30)
    assert program.returncode == 0


def test_a_broken_file_keeps_no_command_from_running(tmp_path):
    (tmp_path / "config.yml").write_text("logging:\n  redact:\n    patterns: ['(a+)+b']\n")
    (tmp_path / "x.py").write_text("import logging; logging.warning('password=zq1')")
    done = supervised(tmp_path, [sys.executable, str(tmp_path / "x.py")])
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"WARNING:root:password=zq1\n")
    notice, record = [r for r in journalled(tmp_path / "home") if r["k"] == "log"]
    if notice.get("src") != "flightlog":
        notice, record = record, notice
    assert record["m"] == "password=[redacted]"
    assert "config.yml says about redaction has not been taken" in notice["m"] and notice["lv"] == 30
    assert os.listdir(tmp_path / "home") == ["spool"]


def notices(home):
    return [r["m"] for r in journalled(home) if r["k"] == "log" and r.get("src") == "flightlog"]


def test_settings_that_cannot_be_read_are_told_in_the_log_of_the_run(tmp_path):
    """Damaged compiled settings, in a process that is attached, not supervised; mended, it is not told again."""
    config = tmp_path / "config.yml"
    config.write_text(CONFIG)
    env = running.environment(tmp_path / "home", FLIGHTLOG_CONFIG=str(config), FLIGHTLOG_DSN="host=/nowhere")
    env["PYTHONPATH"] = os.pathsep.join(sys.path)
    program = "import flightlog; log = flightlog.get_logger(); log.info('one', customer_ssn='5'); log.info('two'); print('ok')"

    def run():
        done = subprocess.run([sys.executable, "-c", program], env=env, cwd=tmp_path, capture_output=True, timeout=60)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"ok\n", b"")

    run()
    (told,) = notices(tmp_path / "home")
    assert "has not been taken" in told
    compile_it = "from flightlog.config import compiling; import sys; compiling.refresh(sys.argv[1])"
    subprocess.run([sys.executable, "-c", compile_it, str(config)], env=env, check=True, timeout=60)
    run()
    assert len(notices(tmp_path / "home")) == 1
    (made,) = (tmp_path / "home" / "control").glob("*.json")
    made.write_bytes(made.read_bytes()[:-5])
    run()
    assert any(f"the settings in {made} do not hold: it is damaged" in text for text in notices(tmp_path / "home"))
    code, out, err = running.run([*running.KEEPER, "--config", str(config), "--", "echo", "x"], tmp_path, env=env)
    assert (code, out, err) == (0, b"x\n", b"")
    told = notices(tmp_path / "home")
    assert len(told) == 3 and len([text for text in told if "is damaged" in text]) == 2
