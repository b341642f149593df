"""Two versions of flightlog meet: in the spool, or at the database. What is not understood is held and said, what is understood is read."""

import contextlib
import os
import time
import zlib
from unittest import mock

import psycopg
from campaign import SEED
from oracle import Scene
from spoiled import Spoiled

from flightlog import identity
from flightlog.journal.capture import CaptureWriter
from flightlog.journal.format import frame, salt_of, segment_name
from flightlog.store import migrate
from integration.shipping import execute, fetch, head, log
from waiting import wait_until
from worker import text

WRITE = """
import flightlog, worker
flightlog.init(pipeline="pipeline")
for n in range(int(worker.argument(2))):
    worker.log(flightlog.get_logger("pipeline").info, worker.argument(1), n, 40)
"""


def witness(scene, name, numbers):
    """Tell the witness of records; return their texts."""
    texts = [text(name, n, 20) for n in numbers]
    with open(scene.witness, "ab") as file:
        for n, said in zip(numbers, texts):
            file.write(b"%s %d %08x\n" % (name.encode(), n, zlib.crc32(said.encode())))
    return texts


def counted(scene):
    return len(scene.rows())


def test_37_format_skew(scene):
    """A newer minor version is read, with keys, kinds and events that nobody here knows; a newer version is held, and its neighbours are not."""
    scene.start_agent()
    new = {"v": 1, "page_size": 4096, "flags": ["unknown"]}
    one = Spoiled("plain", 20)
    one.write(scene.spool, scene.witness)
    run, writer = identity.new_ulid(), identity.new_writer_id()
    salt = salt_of(writer)
    said = witness(scene, "minor", range(5))
    payloads = [log(run, said[0], another={"key": [1]}), b'{"k":"span","t":1,"r":"%s"}' % run.encode()]
    payloads += [log(run, message, kept="here") for message in said[1:]]
    with open(os.path.join(scene.spool, segment_name(writer, 0)), "wb") as file:
        data = frame(head(writer, 0, run, **new), salt, 0)
        file.write(data + b"".join(frame(payload, salt, n) for n, payload in enumerate(payloads, 1)))
    wait_until(lambda: counted(scene) == 25, 30, f"what is understood (seed {SEED}): {scene.words()}")

    run, writer = identity.new_ulid(), identity.new_writer_id()
    salt = salt_of(writer)
    said = witness(scene, "major", range(10))
    first = frame(head(writer, 0, run), salt, 0) + b"".join(frame(log(run, said[n]), salt, n + 1) for n in range(5))
    rest = b"".join(frame(log(run, said[n]), salt, n + 1) for n in range(5, 10))
    headers = [frame(head(writer, 1, run, v=v, prev=[0, len(first)]), salt, 1) for v in (2, 1)]
    capture = CaptureWriter(
        scene.spool, {"stream": "stdout", "run": run, "pipeline": "p", "keeper": [1, 1], "boot": "0" * 32}
    )
    capture.meta["v"] = 2
    capture.open()
    os.write(capture.fd, b"captured in another form\n")
    meta = os.path.join(scene.spool, capture.writer_id + ".meta")
    for number, data in enumerate((first, headers[0] + rest)):
        with open(os.path.join(scene.spool, segment_name(writer, number)), "wb") as file:
            file.write(data)
    other = Spoiled("neighbour", 20)
    other.write(scene.spool, scene.witness)
    wait_until(lambda: counted(scene) == 50, 30, f"all but what is newer: {scene.words()}")
    for words in ("segment 1 has version 2", "its .meta has version 2", "update flightlog"):
        wait_until(lambda words=words: words in scene.words(), 30, words)
    assert counted(scene) == 50 and os.path.exists(meta)
    code, _, err = scene.command("journal", "cat")
    assert code == 1 and "version 2" in err and "update flightlog" in err
    code, out, err = scene.command("logs", run, "-n", "all")
    held = [item for item in scene.audit().writers if item.pending_bytes]
    assert {item.writer.replace("-", "") for item in held} == {writer, capture.writer_id}, held

    # The update: here it is the bytes that become older.
    replaced = os.path.join(scene.folder, "updated")
    for path, old, now in (
        (os.path.join(scene.spool, segment_name(writer, 1)), headers[0], headers[1]),
        (meta, b'"v":2', b'"v":1'),
    ):
        with open(path, "rb") as file:
            data = file.read()
        assert old in data
        with open(replaced, "wb") as file:
            file.write(data.replace(old, now, 1))
        os.chmod(replaced, 0o600)
        os.replace(replaced, path)
    scene.kill_agent()
    scene.tally.add(rounds=1, kills=1)
    found = scene.check(beyond=0)
    assert found.good
    assert fetch(scene.dsn, "SELECT message FROM pipeline_logs WHERE source = 'stdout'") == [
        ("captured in another form",)
    ]


def version(dsn, migrations):
    """Bring a database to the schema of a version that had these *migrations*."""
    with mock.patch.object(migrate, "migrations", lambda: migrations):
        migrate.migrate(dsn)


def test_38_schema_skew(own_scene, tmp_path, tally):
    """An older schema is held and told how to be brought up; a newer one, and columns of others, are no hindrance; a column that is gone is waited for."""
    server = own_scene.server
    known = migrate.migrations()
    for number in range(4, len(known)):
        name = f"older{number}"
        execute(server.dsn, f"CREATE DATABASE {name}")
        dsn = server.dsn.replace("dbname=flightlog", f"dbname={name}")
        version(dsn, known[:number])
        folder = tmp_path / name
        (folder / "home").mkdir(parents=True)
        scene = Scene(folder / "home", dsn, folder, tally)
        with contextlib.closing(scene):
            assert scene.run(WRITE, name, 20) == 0, scene.words()
            scene.start_agent()
            wait_until(lambda scene=scene: "db migrate" in scene.words() or counted(scene) == 20, 30, scene.words())
            assert scene.agent.poll() is None
            assert scene.command("db", "migrate")[0] == 0
            wait_until(lambda scene=scene: counted(scene) == 20, 30, f"what was held: {scene.words()}")
            scene.check(names=[name])
            scene.tally.add(rounds=1)
    # A newer one: a migration, columns, a table and an index that this version knows nothing of.
    execute(
        server.dsn,
        "INSERT INTO pipeline_migrations (name, checksum, version) VALUES ('9999_pre_add_things', 'x', '99')",
        "ALTER TABLE pipeline_logs ADD COLUMN of_tomorrow text",
        "ALTER TABLE pipeline_runs ADD COLUMN of_tomorrow int DEFAULT 7",
        "CREATE TABLE pipeline_of_tomorrow (x int)",
    )
    assert own_scene.run(WRITE, "newer", 20) == 0
    own_scene.start_agent()
    wait_until(lambda: counted(own_scene) == 20, 30, f"rows in a newer schema: {own_scene.words()}")
    assert own_scene.command("db", "status")[0] == 0
    # A column that somebody took away.
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("ALTER TABLE pipeline_logs RENAME COLUMN logger TO gone")
        assert own_scene.run(WRITE, "missing", 20) == 0
        wait_until(lambda: "does not exist" in own_scene.words(), 30, f"the agent to say so: {own_scene.words()}")
        begun = time.monotonic()
        wait_until(lambda: time.monotonic() > begun + 1.5, 5)
        assert own_scene.agent.poll() is None
        connection.execute("ALTER TABLE pipeline_logs RENAME COLUMN gone TO logger")
    wait_until(lambda: counted(own_scene) == 40, 60, f"what was held: {own_scene.words()}")
    own_scene.tally.add(rounds=2)
    assert fetch(server.dsn, "SELECT count(*) FROM pipeline_dead_letters") == [(0,)]
    own_scene.check(names=["newer", "missing"])
