"""Output under load and at the edges: bursts, slow and vanished readers, late writers, marks, disks that are full."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import zlib

import pytest
import running

from flightlog.journal import mark, reserve
from waiting import wait_until

PY = sys.executable


def start(command, home, **how):
    return subprocess.Popen(running.kept(command), env=running.environment(home), **how)


def test_bursts_before_an_abrupt_end_are_whole(tmp_path):
    code = "import os\nos.write(1, b'o' * 400_000)\nos.write(2, b'e' * 400_000)\nos._exit(7)"
    result = running.run(running.kept([PY, "-I", "-S", "-c", code]), tmp_path)
    assert result == (7, b"o" * 400_000, b"e" * 400_000)
    assert running.captured(tmp_path) == b"o" * 400_000
    assert running.captured(tmp_path, "stderr") == b"e" * 400_000


def test_a_flood_of_lines_over_several_segments(tmp_path):
    code = "import sys\nfor i in range(200000): sys.stdout.write('line %d %s\\n' % (i, 'x' * 80))"
    expected = b"".join(b"line %d %s\n" % (i, b"x" * 80) for i in range(200000))
    result = running.run(running.kept([PY, "-I", "-S", "-c", code]), tmp_path)
    assert result == (0, expected, b"")
    assert running.captured(tmp_path) == expected
    names = [n for n in os.listdir(running.spool(tmp_path)) if n.endswith(".cap")]
    assert len(names) == 4  # stderr's, and three of stdout


def test_the_time_index_covers_what_came(tmp_path):
    from flightlog.journal.capture import read_index

    running.run(running.kept(["sh", "-c", "echo a; sleep 0.05; echo b"]), tmp_path)
    (meta,) = [m for m in running.metas(tmp_path) if m["stream"] == "stdout"]
    index = read_index(os.path.join(running.spool(tmp_path), meta["writer"] + ".000000.idx"))
    assert [end for end, _ in index] == [2, 4]
    assert index[0][1] < index[1][1]


def test_yes_into_head_ends_at_once_by_sigpipe(tmp_path):
    keeper = start(["yes"], tmp_path, stdout=subprocess.PIPE)
    head = subprocess.run(["head", "-1"], stdin=keeper.stdout, capture_output=True, check=True)
    keeper.stdout.close()
    assert head.stdout == b"y\n"
    assert keeper.wait(20) == -signal.SIGPIPE
    assert running.ended(tmp_path)["term_signal"] == "SIGPIPE"


def test_a_reader_that_goes_is_noticed_before_the_next_write(tmp_path):
    """The command writes once more after its reader went: that write must fail, as it does bare."""
    script = "trap 'exit 9' USR1; echo a; read x; echo b; echo status $? >&2"
    keeper = start(
        ["sh", "-c", script], tmp_path, stdout=subprocess.PIPE, stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert keeper.stdout.readline() == b"a\n"
    shim, child = running.shim_and_child(keeper.pid)
    keeper.stdout.close()
    pipes = [os.readlink(f"/proc/{child}/fd/1")]

    def closed():
        held = []
        for pid in (keeper.pid, shim):
            for fd in os.listdir(f"/proc/{pid}/fd"):
                try:
                    held.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
                except OSError:
                    continue
        return pipes[0] not in held

    wait_until(closed, 10, "keeper and shim to close the pipe")
    keeper.communicate(b"\n", 20)
    assert keeper.returncode == -signal.SIGPIPE


def test_a_reader_that_does_not_read_holds_the_command_up(tmp_path):
    """The command can get ahead by the pipe and about 1 MB of capture, then it waits; the other stream goes on."""
    code = "import os\nfor i in range(64): os.write(1, b'x' * 65536); os.write(2, b'%d\\n' % i)"
    keeper = start([PY, "-I", "-S", "-c", code], tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    _, child = running.shim_and_child(keeper.pid)
    seen = []

    def blocked():
        with open(f"/proc/{child}/wchan") as file, open(f"/proc/{child}/stat") as stat:
            state = stat.read().rsplit(")", 1)[1].split()[0]
            seen.append((file.read(), state, sum(p.stat().st_size for p in tmp_path.glob("spool/*/*.cap"))))
        return len(seen) > 20 and len(set(seen[-20:])) == 1 and state == "S"

    wait_until(blocked, 20, "the command to wait in write")
    size = seen[-1][2]
    assert size < 3 << 20, seen[-1]
    out, err = keeper.communicate(timeout=30)
    assert (len(out), err) == (64 * 65536, b"".join(b"%d\n" % i for i in range(64)))


def test_a_stalled_stderr_does_not_hold_up_stdout(tmp_path):
    code = "import os\nos.write(2, b'e' * 900_000)\nfor i in range(100): os.write(1, b'o' * 65536)"
    keeper = start([PY, "-I", "-S", "-c", code], tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    total = 0
    while total < 100 * 65536:
        total += len(os.read(keeper.stdout.fileno(), 1 << 20))
    out, err = keeper.communicate(timeout=30)
    assert (out, len(err)) == (b"", 900_000)


def test_the_users_descriptors_stay_blocking(tmp_path):
    source, sink = os.pipe()
    keeper = start(["sh", "-c", "echo a; read x"], tmp_path, stdout=sink, stdin=subprocess.PIPE)
    assert os.read(source, 10) == b"a\n"
    assert not fcntl.fcntl(sink, fcntl.F_GETFL) & os.O_NONBLOCK
    keeper.communicate(b"\n", 20)
    assert not fcntl.fcntl(sink, fcntl.F_GETFL) & os.O_NONBLOCK
    os.close(source)
    os.close(sink)


def test_the_end_does_not_wait_for_grandchildren_and_their_output_still_comes(tmp_path):
    fifo = tmp_path / "go"
    os.mkfifo(fifo)
    script = f"(read x < {fifo}; echo late; echo later >&2) & echo main; exit 5"
    keeper = start(["sh", "-c", script], tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert keeper.wait(20) == 5
    assert os.read(keeper.stdout.fileno(), 100) == b"main\n"
    assert running.ended(tmp_path)["exit_code"] == 5
    assert not running.all_ended(tmp_path)
    fifo.write_text("go\n")
    assert keeper.communicate(timeout=20) == (b"late\n", b"later\n")
    running.nobody_left(tmp_path)
    assert running.captured(tmp_path) == b"main\nlate\n"
    assert running.all_ended(tmp_path)


def test_command_substitution_waits_for_whoever_holds_the_output_and_no_longer(tmp_path):
    env = running.environment(tmp_path)
    line = 'x=$("$@"); echo "[$x] $?"'
    done = subprocess.run(
        ["sh", "-c", line, "sh", *running.kept(["sh", "-c", "(sleep 0.2; echo late) & echo main"])],
        env=env,
        capture_output=True,
    )
    assert done.stdout == b"[main\nlate] 0\n"


def test_a_stream_that_the_command_closes_early_ends_for_its_reader(tmp_path):
    keeper = start(["sh", "-c", "echo a; exec >&-; read x"], tmp_path, stdout=subprocess.PIPE, stdin=subprocess.PIPE)
    assert keeper.stdout.read() == b"a\n"  # to the end, while the command lives
    assert keeper.poll() is None
    keeper.communicate(b"\n", 20)
    assert keeper.returncode == 0


def test_stdin_that_the_command_closes_early_ends_for_its_writer(tmp_path):
    source, sink = os.pipe()
    keeper = start(["sh", "-c", "exec <&-; echo closed; exec sleep 60"], tmp_path, stdin=source, stdout=subprocess.PIPE)
    os.close(source)
    assert keeper.stdout.readline() == b"closed\n"

    def broken():
        try:
            os.write(sink, b"x")
        except BrokenPipeError:
            return True
        return False

    wait_until(broken, 10, "the writer of stdin to see the end")
    running.kill_quietly(running.shim_and_child(keeper.pid)[1])
    assert keeper.wait(20) == -9
    os.close(sink)


def test_any_other_descriptor_that_the_command_closes_early_is_closed(tmp_path):
    source, sink = os.pipe()
    script = f"echo data >&{sink}; exec {sink}>&-; read x"
    keeper = start(["bash", "-c", script], tmp_path, stdin=subprocess.PIPE, pass_fds=(sink,))
    os.close(sink)
    with open(source, "rb") as reader:
        assert reader.read() == b"data\n"  # to the end, while the command lives
    assert keeper.poll() is None
    keeper.communicate(b"\n", 20)
    assert keeper.returncode == 0


def marked(n, text):
    return mark.make("0" * 32, n, text)


def test_verified_marks_vanish_from_the_console_and_stay_in_the_capture(tmp_path):
    raw = (
        b"plain\n"
        + b"".join(marked(i, b"record %d\n" % i) + b"record %d\n" % i for i in range(3000))
        + b"\x1b[31mred\n"
    )
    (tmp_path / "raw").write_bytes(raw)
    code, out, _ = running.run(running.kept(["cat", str(tmp_path / "raw")]), tmp_path)
    assert out == b"plain\n" + b"".join(b"record %d\n" % i for i in range(3000)) + b"\x1b[31mred\n"
    assert running.captured(tmp_path) == raw


def test_a_mark_in_two_writes_is_recognised(tmp_path):
    whole = marked(1, b"hello\n") + b"hello\n"
    for cut in range(1, len(whole), 7):
        home = tmp_path / str(cut)
        code = f"import os\nos.write(1, {whole[:cut]!r})\nos.write(1, {whole[cut:]!r})"
        assert running.run(running.kept([PY, "-I", "-S", "-c", code]), home)[1] == b"hello\n"


def test_an_incomplete_mark_appears_though_the_command_lives(tmp_path):
    piece = marked(1, b"hello\n")[:-3]
    keeper = start(
        [PY, "-I", "-S", "-c", f"import os\nos.write(1, {piece!r}); os.read(0, 1)"],
        tmp_path,
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
    )
    got = b""
    while len(got) < len(piece):
        got += os.read(keeper.stdout.fileno(), 1000)
    assert got == piece
    keeper.communicate(b"x", 20)
    assert keeper.returncode == 0


def test_a_limit_on_file_sizes_around_us_costs_nothing(tmp_path):
    """As root the limit is lifted for us; the command keeps it."""
    line = 'ulimit -f 100; exec "$@"'
    command = running.kept(["sh", "-c", "ulimit -f; head -c 300000 /dev/zero"])
    code, out, _ = running.run(["sh", "-c", line, "sh", *command], tmp_path)
    assert (code, out) == (0, b"100\n" + bytes(300000))


def test_a_full_disk_costs_the_capture_not_the_command(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", str(small)]).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        code = "import os\nfor i in range(32): os.write(1, b'%c' % (65 + i) * 65536)\nos.write(2, b'done\\n')"
        result = running.run(running.kept([PY, "-I", "-S", "-c", code]), small)
        assert result == (0, b"".join(b"%c" % (65 + i) * 65536 for i in range(32)), b"done\n")
        kept = running.captured(small)
        assert 0 < len(kept) < 32 * 65536
        words = os.path.commonprefix([kept[::-1], result[1][::-1]])  # what it said last is there, behind the gap
        assert len(words) >= reserve.SLOT_BYTES and result[1].startswith(kept[: -len(words)])
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_a_spool_that_cannot_be_made_means_one_line_and_the_bare_command(tmp_path):
    (tmp_path / "home").write_text("not a folder")
    code, out, err = running.run(running.kept(["sh", "-c", "echo hi; exit 3"]), tmp_path / "home")
    assert (code, out) == (3, b"hi\n")
    assert err.count(b"\n") == 1 and err.startswith(b"flightlog: this run is not recorded: ")


def test_the_line_about_a_bare_command_brings_it_no_signal(tmp_path):
    """Nobody reads standard error any more: the SIGPIPE is ours, and what waits in us would end the command at its beginning."""
    (tmp_path / "home").write_text("not a folder")
    source, sink = os.pipe()
    os.close(source)
    command = running.kept(["sh", "-c", "echo hi; exit 3"])
    env = running.environment(tmp_path / "home")
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=sink, env=env, timeout=60)
    os.close(sink)
    assert (done.returncode, done.stdout) == (3, b"hi\n")


def test_a_damaged_installation_means_one_line_and_the_bare_command(tmp_path):
    root = os.path.dirname(os.path.dirname(os.path.dirname(running.KEEPER[-1])))
    shutil.copytree(
        os.path.join(root, "flightlog"), tmp_path / "flightlog", ignore=shutil.ignore_patterns("__pycache__")
    )
    (tmp_path / "flightlog" / "process" / "page.py").unlink()
    keeper = [PY, "-I", "-S", str(tmp_path / "flightlog" / "process" / "keeper.py"), "--run", "x", "--"]
    code, out, err = running.run([*keeper, "sh", "-c", "echo hi; kill -PIPE $$"], tmp_path / "home")
    assert (code, out) == (-signal.SIGPIPE, b"hi\n")
    assert err.count(b"\n") == 1 and err.startswith(b"flightlog: this run is not recorded: ")


def test_the_kill_switch_stops_capture_while_the_command_runs(tmp_path):
    config = tmp_path / "config.yml"
    config.write_text("monitoring:\n  enabled: true\n")
    keeper = subprocess.Popen(
        [*running.KEEPER, "--config", str(config), "--", "sh", "-c", "while read x; do echo $x; done"],
        env=running.environment(tmp_path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )

    def say(word):
        keeper.stdin.write(word + b"\n")
        keeper.stdin.flush()
        assert keeper.stdout.readline() == word + b"\n"

    say(b"one")
    with open(config, "a") as file:
        file.write("monitoring:\n  enabled: false\n")

    def off():
        before = running.captured(tmp_path)
        say(b"more")
        return running.captured(tmp_path) == before

    wait_until(off, 10, "the capture to stop")
    keeper.communicate(timeout=20)
    assert keeper.returncode == 0


def test_checksums_of_a_long_random_stream(tmp_path):
    """All byte values, 20 MB, through pipe, capture and console."""
    data = os.urandom(1 << 20) * 20
    keeper = start(["cat"], tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    out, _ = keeper.communicate(data, 60)
    assert zlib.crc32(out) == zlib.crc32(data) == zlib.crc32(running.captured(tmp_path))


def test_merged_streams_keep_their_exact_order(tmp_path):
    """Two pipes cannot tell which of two writes was first; --merge is `2>&1` around the command."""
    program = "import os\nfor n in range(2000): os.write(1 + n % 2, b'%d\\n' % n)"
    keeper = [*running.KEEPER, "--merge", "1", "--", sys.executable, "-c", program]
    code, out, err = running.run(keeper, tmp_path)
    assert (code, err) == (0, b"")
    assert [int(line) for line in out.split()] == list(range(2000))
    (capture,) = running.ended(tmp_path)["captures"]
    assert (capture["stream"], capture["bytes"]) == ("stdout", len(out))
