"""The spool may hold one megabyte and nobody ships: levels are given up in order, each drop is declared, and how the run ended is kept."""

from campaign import SEED, rounds

from integration.shipping import fetch

QUOTA = "spool:\n  quota: 1MiB\n  keep_free: 0\n"
PIPELINE = """
import time
import flightlog, worker
flightlog.init(pipeline="full")
log = flightlog.get_logger("full")
name = worker.argument(1)
with flightlog.run("full"):
    for n in range(int(worker.argument(2))):
        for level in ("debug", "info", "warning", "error"):
            worker.log(getattr(log, level), name + level, n, 150)
        time.sleep(0.001)
"""


def test_43_quota(own_scene):
    """1 MB of quota and a database that is away."""
    own_scene.variables["FLIGHTLOG_CONFIG"] = own_scene.script(QUOTA, "quota.yml")
    own_scene.start_agent()
    own_scene.server.stop()
    number = rounds(1, whole=5)
    for round_ in range(number):
        assert own_scene.run(PIPELINE, f"r{round_}", rounds(4000, whole=6000)) == 0, own_scene.words()
        own_scene.tally.add(rounds=1)
    own_scene.server.start()
    found = own_scene.check(may_lose=True, spare=10 * number)
    by_level = {}
    for item in found.writers:
        for key, count in item.drops.items():
            level = int(key.partition("/")[0])
            by_level[level] = by_level.get(level, 0) + count
    dropped = [by_level.get(level, 0) for level in (10, 20, 30, 40)]
    assert dropped[0] >= dropped[1] >= dropped[2] >= dropped[3] and dropped[1] > 0, f"seed {SEED}: {by_level}"
    ended = fetch(own_scene.dsn, "SELECT count(*) FROM pipeline_runs WHERE pipeline = 'full' AND state = 'succeeded'")
    assert ended[0][0] >= number
    own_scene.tally.notes.append("dropped: DEBUG %d, INFO %d, WARNING %d, ERROR %d" % tuple(dropped))
