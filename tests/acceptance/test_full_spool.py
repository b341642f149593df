"""A spool that is full: real agents, real disks, real pipelines. What is shed, what is kept, who says so."""

import json
import os
import subprocess
import sys
import time

import pytest

from acceptance import running
from flightlog.agent import door
from flightlog.config import control, quota
from flightlog.config.control import ControlPage, Limits
from flightlog.journal import reader
from flightlog.journal.format import SEGMENT_SUFFIX, parse_name, salt_of
from unit.query.command import Command
from waiting import wait_until

PY = sys.executable
ROOM = "spool:\n  quota: 1MB\n  keep_free: 0\n"


def records(folder):
    """Every record of the journal in *folder*, writer by writer, in order."""
    found = []
    for name in sorted(os.listdir(folder)):
        parsed = parse_name(name)
        if parsed is None or parsed[2] != SEGMENT_SUFFIX:
            continue
        path = os.path.join(folder, name)
        frames = reader.read_segment(path, salt_of(parsed[0]))
        found += [json.loads(payload) for _, _, _, payload in frames if payload is not None]
    return found


def dropped(found):
    """The last totals that one writer said."""
    totals = [record["dropped"] for record in found if record["k"] in ("head", "drops")]
    return totals[-1]


def env(home, config=None, **more):
    return running.environment(home, FLIGHTLOG_CONFIG=str(config) if config else "", **more)


def pipeline(home, code, config=None, timeout=60, **more):
    path = os.path.join(str(home), "pipeline.py")
    with open(path, "w") as file:
        file.write(code)
    done = subprocess.run(
        [PY, path], env=env(home, config, **more), capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def config(home):
    path = os.path.join(home, "config.yml")
    with open(path, "w") as file:
        file.write(ROOM)
    return path


@pytest.fixture
def agent(home, config):
    """A real agent whose database is down."""
    log = open(os.path.join(home, "agent.log"), "wb")
    more = {"FLIGHTLOG_DSN": "host=/nonexistent dbname=x connect_timeout=1"}
    one = subprocess.Popen([PY, "-m", "flightlog", "agent", "run"], env=env(home, config, **more), stderr=log)
    wait_until(lambda: door.holder(str(home)), 30, "an agent")
    wait_until(lambda: page_of(home, config), 30, "the control page")
    yield one
    one.terminate()
    one.wait(30)
    log.close()


def page_of(home, config):
    """What the control page says: (pressure, limits)."""
    folder = os.path.join(str(home), "control")
    names = [name for name in os.listdir(folder) if name.endswith(".page")] if os.path.isdir(folder) else []
    return control.read(os.path.join(folder, names[0])) if names else None


FLOOD = """
import time, flightlog
from flightlog.config.control import LEVELS, PRESSURE_MASK, STATE
from flightlog.sdk.recorder import recorder
log = flightlog.get_logger("flood")
tried = 0
with flightlog.run("flood"):
    end = time.monotonic() + 45
    while time.monotonic() < end and LEVELS[recorder.page[STATE] & PRESSURE_MASK] < 4:
        log.debug("d", pad="x" * 300); log.info("i", pad="x" * 300); log.warning("w", pad="x" * 300)
        tried += 1
        time.sleep(0.002)
    for _ in range(50):  # full: nothing of this is taken
        log.debug("d"); log.info("i"); log.error("e")
        tried += 1
print(tried)
"""


def test_levels_are_shed_in_order_and_the_run_has_its_end(home, config, agent):
    """The database is down; the quota is 1 MB."""
    tried = int(pipeline(home, FLOOD, config))
    found = records(running.spool(home))
    logs = [record for record in found if record["k"] == "log" and record["lg"] == "flood"]
    last = {name: max(i for i, record in enumerate(logs) if record["m"] == name) for name in "diw"}
    assert last["d"] < last["i"] < last["w"], "DEBUG goes first, then INFO"
    assert [record["ev"] for record in found if record["k"] == "event"] == ["run.started", "run.ended"]
    counts = dropped(found)
    assert set(counts) == {"10/pressure", "20/pressure", "30/pressure", "40/pressure"} - (
        set() if "30/pressure" in counts else {"30/pressure"}
    )
    assert sum(counts.values()) + len(logs) == 3 * tried, "each is there or counted"
    notices = [record for record in found if record.get("lg") == "flightlog.drops"]
    told = {}
    for notice in notices:
        assert notice["src"] == "flightlog" and notice["lv"] == 30
        for key, count in notice["x"]["dropped"].items():
            told[key] = told.get(key, 0) + count
    assert told == counts, "and told to people, once"
    size = sum(os.path.getsize(os.path.join(running.spool(home), name)) for name in os.listdir(running.spool(home)))
    assert size < 2_500_000, "bounded: the quota, the reserve of 1 MB, and what came between two looks"


def test_everything_is_visible_when_the_database_is_back(home, config, agent, dsn):
    pipeline(home, FLOOD, config)
    facts = Command("host=/nonexistent dbname=x connect_timeout=1", home, FLIGHTLOG_CONFIG=config)
    data = json.loads(facts("agent", "status", "-o", "json", code=3)[0])
    assert (data["pressure"], data["quota_bytes"], data["keep_free_bytes"]) == (quota.FULL, 10**6, 0)
    assert data["used_bytes"] >= 10**6 and data["free_bytes"] > 0 and data["oldest_unshipped_s"] > 0
    agent.terminate()
    agent.wait(30)
    flightlog = Command(dsn, home, FLIGHTLOG_CONFIG=config)
    flightlog("agent", "run", "--once")
    counts = json.loads(flightlog("status", "flood", "-o", "json")[0])
    assert counts["dropped"] == sum(counts["drops"].values()) > 0 and counts["state"] == "succeeded"
    account = json.loads(flightlog("audit", "-o", "json", code=1)[0])
    assert (account["missing"], account["unproven"], account["dropped"]) == (0, 0, counts["dropped"])
    assert account["drops"] == counts["drops"]
    lines = flightlog("logs", "flood", "-p", "warn", "-n", "1000")[0]
    assert "records were dropped (" in lines and " UTC" in lines
    out = flightlog("status", "flood")[0]
    assert f"dropped   {counts['dropped']} records (pressure: DEBUG " in out
    assert "dropped (pressure: DEBUG " in flightlog("audit", "flood", code=1)[0]
    assert json.loads(flightlog("agent", "status", "-o", "json")[0])["dropped"] == counts["dropped"]


class Owner:
    """The test in the agent's place: what it says on the control page."""

    def __init__(self, home, block_ms=0):
        self.path = os.path.join(str(home), "control", "test.page")
        self.page = ControlPage(self.path)
        self.page.set_limits(Limits(10**6, 0, 0, 1 << 40, 0, block_ms))

    def say(self, pressure):
        self.page.beat()
        self.page.set_state(pressure)


BLOCKED = """
import sys, time, flightlog
log = flightlog.get_logger("b")
log.info("first")
print("ready", flush=True)
sys.stdin.readline()
for n in range(100): log.info("waits", n=n)
print("done", flush=True)
"""


def blocked(home, owner):
    path = os.path.join(str(home), "blocked.py")
    with open(path, "w") as file:
        file.write(BLOCKED)
    one = subprocess.Popen(
        [PY, path],
        env=env(home, FLIGHTLOG_CONTROL=owner.path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert one.stdout.readline() == "ready\n"
    return one


def test_block_waits_until_there_is_room(home):
    owner = Owner(home, block_ms=120_000)
    owner.say(0)
    one = blocked(home, owner)
    owner.say(quota.FULL)
    before = naps(one.pid)
    one.stdin.write("go\n")
    one.stdin.flush()
    wait_until(lambda: naps(one.pid) > before + 20, 30, "it to poll")
    assert [r["m"] for r in records(running.spool(home)) if r["k"] == "log"] == ["first"]
    owner.say(0)
    assert one.communicate(timeout=60)[0] == "done\n"
    found = records(running.spool(home))
    assert [r["m"] for r in found if r["k"] == "log"] == ["first"] + 100 * ["waits"]
    assert dropped(found) == {}


def naps(pid):
    """How often the process has gone to sleep by itself: one that polls does it again and again."""
    with open(f"/proc/{pid}/status") as file:
        return int(file.read().split("\nvoluntary_ctxt_switches:")[1].split()[0])


def test_a_spool_that_stays_full_costs_one_timeout_and_then_sheds(home):
    """A hundred records with a timeout of two seconds each would take longer than the test allows."""
    owner = Owner(home, block_ms=2000)
    owner.say(0)
    one = blocked(home, owner)
    stop = time.monotonic() + 60
    owner.say(quota.FULL)
    one.stdin.write("go\n")
    one.stdin.flush()
    while one.poll() is None and time.monotonic() < stop:
        owner.page.beat()
        try:
            one.wait(0.5)
        except subprocess.TimeoutExpired:
            continue
    assert one.returncode == 0
    found = records(running.spool(home))
    assert dropped(found) == {"20/pressure": 100}
    assert [r["m"][:25] for r in found if r.get("lg") == "flightlog.drops"] == ["100 records were dropped "]


@pytest.fixture
def small(tmp_path, request):
    """A real file system of so many kilobytes; `fill` leaves no byte of it."""
    made = []

    def make(kilobytes):
        path = str(tmp_path / "small")
        os.mkdir(path)
        if (
            os.geteuid() != 0
            or subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", path], check=False
            ).returncode
        ):
            pytest.skip("a small file system cannot be mounted here")
        made.append(path)
        return path

    yield make
    for path in made:
        subprocess.run(["umount", "-l", path], check=True)


ENOSPC = """
import os, sys, flightlog
log = flightlog.get_logger("s")
def fill():
    fd = os.open(os.path.join(os.environ["FLIGHTLOG_HOME"], "filler"), os.O_WRONLY | os.O_CREAT)
    for size in (4096, 1):
        try:
            while True: os.write(fd, bytes(size))
        except OSError: pass
with flightlog.run("small") as run:
    log.info("before")
    fill()
    for _ in range(300): log.info("lost", pad="x" * 500)
    log.error("lost as well", pad="x" * 5000)
    {end}
"""


def test_on_a_full_disk_the_end_of_a_run_and_its_drops_are_there(small):
    """256 KB, full to the last byte. No agent; nobody lets go of anything."""
    home = small(256)
    pipeline(home, ENOSPC.format(end="pass"))
    found = records(running.spool(home))
    assert [r["ev"] for r in found if r["k"] == "event"] == ["run.started", "run.ended"]
    logs = [r["m"] for r in found if r["k"] == "log" and r["lg"] == "s"]
    counts = dropped(found)
    assert sum(counts.values()) + len(logs) == 302, (counts, logs)
    assert any("records were dropped (" in r["m"] for r in found if r.get("lg") == "flightlog.drops")


def test_on_a_full_disk_an_uncaught_exception_is_there(small):
    home = small(256)
    code = ENOSPC.format(end="raise ValueError('the last straw')")
    path = os.path.join(home, "x.py")
    with open(path, "w") as file:
        file.write(code)
    done = subprocess.run([PY, path], env=env(home), capture_output=True, timeout=60, check=False)
    assert done.returncode == 1 and b"the last straw" in done.stderr
    found = records(running.spool(home))
    end = [r["x"] for r in found if r["k"] == "event" and r["ev"] == "run.ended"][0]
    assert (end["status"], end["error"]["message"]) == ("failed", "the last straw")
    crash = [r for r in found if r["k"] == "log" and (r.get("x") or {}).get("uncaught")]
    assert [r["e"]["type"] for r in crash] == ["ValueError"]


def test_on_a_full_disk_a_supervised_run_has_its_end_and_last_words(small):
    home = small(512)
    code = ENOSPC.format(end="print('y' * 30000 + 'the last word', flush=True)")
    with open(os.path.join(home, "x.py"), "w") as file:
        file.write(code)
    done, out, err = running.run(running.kept([PY, os.path.join(home, "x.py")]), home)
    assert (done, out[-14:], err) == (0, b"the last word\n", b"")
    found = records(running.spool(home))
    (end,) = [r["x"] for r in found if r["k"] == "event" and r["ev"] == "run.ended"]
    assert (end["status"], end["exit_code"], end["by"]) == ("ok", 0, "shim")
    assert [r["ev"] for r in found if r["k"] == "event" and r["x"].get("by") == "sdk"] == ["run.left"]
    (stdout,) = [capture for capture in end["captures"] if capture["stream"] == "stdout"]
    kept = running.captured(home)
    assert kept.endswith(b"the last word\n")
    assert stdout["lost"] + len(kept) == len(out), "each byte is there or counted"


def test_without_an_agent_a_pipeline_looks_at_the_disk_itself(small):
    """16 MB: the quota is a tenth, and a quarter stays free. Somebody else fills the disk and lets go of it again."""
    home = small(16384)
    code = """
import os, time, flightlog
from flightlog.config import control
from flightlog.sdk.recorder import recorder
control.MEASURE_EVERY_NS = 0
log = flightlog.get_logger("s")
with flightlog.run("alone"):
    log.debug("early")
    filler = os.path.join(os.environ["FLIGHTLOG_HOME"], "filler")
    with open(filler, "wb") as file: file.write(bytes(13 << 20))
    while os.path.exists(filler):
        log.info("flood", pad="x" * 1000)
        if recorder.control.pressure: os.unlink(filler)
    recorder.check_at = 0
    log.error("full")
    recorder.check_at = 0
    log.debug("late")
    print(recorder.control.is_owned(), recorder.writer.rotate_bytes)
"""
    assert pipeline(home, code) == "False 104857\n"
    found = records(running.spool(home))
    logs = [r["m"] for r in found if r["k"] == "log" and r["lg"] == "s"]
    assert logs[0] == "early" and logs[-1] == "late" and "full" in logs


def test_output_under_pressure_goes_to_the_console_is_counted_and_keeps_its_last_words(home, dsn):
    owner = Owner(home)
    owner.say(3)
    lines = b"".join(b"line %d\n" % n for n in range(60_000))
    code = "import sys\nfor n in range(60000): print('line %d' % n)\nprint('an error', file=sys.stderr)"
    more = {"FLIGHTLOG_CONTROL": owner.path}
    done = subprocess.Popen(
        [*running.KEEPER, "--pipeline", "loud", "--", PY, "-I", "-S", "-c", code],
        env=env(home, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = done.communicate(timeout=60)
    assert (done.returncode, out, err) == (0, lines, b"an error\n")
    captures = {capture["stream"]: capture for capture in running.ended(home)["captures"]}
    kept = running.captured(home)
    assert captures["stdout"]["lost"] + len(kept) == len(lines) and captures["stdout"]["lost"] > 0
    words = os.path.commonprefix([kept[::-1], lines[::-1]])
    assert len(words) >= 60_000 and lines.startswith(kept[: -len(words)])
    assert captures["stderr"]["lost"] == 0 and running.captured(home, "stderr") == b"an error\n"
    assert any(e["ev"] == "capture.gap" for e in running.events(home))
    owner.say(0)
    flightlog = Command(dsn, home)
    flightlog("agent", "run", "--once")
    lost = captures["stdout"]["lost"]
    assert json.loads(flightlog("status", "loud", "-o", "json")[0])["lost_bytes"] == lost
    assert json.loads(flightlog("audit", "loud", "-o", "json", code=1)[0])["lost_bytes"] == lost
    assert "of output were not kept" in flightlog("audit", "loud", code=1)[0]
    assert f"{lost} bytes of stdout were not kept (pressure 3)" in flightlog("logs", "loud", "-p", "warn")[0]


def test_output_may_wait_for_room(home):
    """With block the command waits, as it would for a slow reader."""
    owner = Owner(home, block_ms=120_000)
    owner.say(quota.FULL)
    one = subprocess.Popen(
        running.kept([PY, "-I", "-S", "-c", "print('x' * 500_000)"]),
        env=env(home, FLIGHTLOG_CONTROL=owner.path),
        stdout=subprocess.PIPE,
    )
    wait_until(lambda: any(e["ev"] == "capture.opened" for e in running.events(home)), 30, "the command")
    owner.say(0)
    assert one.communicate(timeout=60)[0] == b"x" * 500_000 + b"\n"
    assert running.ended(home)["captures"][0]["lost"] == 0
    assert len(running.captured(home)) == 500_001
