"""`flightlog run --pty`: the command writes to a terminal, and everything else is as without it."""

import fcntl
import os
import pty
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import termios

import pytest

from acceptance import running
from waiting import wait_until

KEEPER = [*running.KEEPER, "--pty", "1", "--"]


def python(code):
    return [*KEEPER, sys.executable, "-c", code]


def test_both_streams_are_a_terminal_that_changes_no_byte(tmp_path):
    code = "import os, sys\nprint([os.isatty(n) for n in (0, 1, 2)])\nos.write(2, b'a\\0\\xff\\tb\\n\\n')\nprint(tuple(os.get_terminal_size(1)))"
    status, out, err = running.run(python(code), tmp_path)
    assert (status, err) == (0, b"")
    assert out.replace(b"a\0\xff\tb\n\n", b"") == b"[False, True, True]\n(80, 24)\n" and b"a\0\xff\tb\n\n" in out
    (capture,) = running.ended(tmp_path)["captures"]
    assert (capture["stream"], capture["bytes"], capture["lost"], capture["ended"]) == ("stdout", len(out), 0, True)


@pytest.mark.parametrize("ending", ["sys.exit(7)", "os.kill(os.getpid(), 9)", "os.abort()", "os._exit(3)"])
def test_it_ends_as_it_ends(tmp_path, ending):
    code = f"import os, sys\nprint('last', flush=True)\n{ending}"
    bare = running.run([sys.executable, "-c", code], tmp_path)
    status, out, _ = running.run(python(code), tmp_path)
    assert (status, out) == (bare[0], b"last\n")


def test_much_output_arrives_whole(tmp_path):
    code = "import sys\nfor n in range(40000): print(n)\nprint('end', end='')"
    status, out, _ = running.run(python(code), tmp_path)
    assert status == 0 and out == b"".join(b"%d\n" % n for n in range(40000)) + b"end"


def test_standard_input_is_what_it_was(tmp_path):
    code = "import sys; print(sys.stdin.read().upper(), end='')"
    assert running.run(python(code), tmp_path, stdin=b"words\n")[:2] == (0, b"WORDS\n")


def test_lines_of_c_programs_come_as_they_are_written(tmp_path):
    """Not when a block is full: that is what people want it for. The command waits until its first line has been seen."""
    script = [
        *KEEPER,
        "sh",
        "-c",
        'awk \'BEGIN { print "first"; while ((getline line < "/dev/stdin") > 0) print line }\'',
    ]
    process = subprocess.Popen(script, env=running.environment(tmp_path), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"first\n"  # it would be in a buffer for ever: nothing has been put in
    assert process.communicate(b"second\n", timeout=60)[0] == b"second\n" and process.returncode == 0


def test_what_a_descendant_writes_late_is_there(tmp_path):
    status, out, _ = running.run([*KEEPER, "sh", "-c", "(sleep 0.3; echo late) & echo early"], tmp_path)
    assert (status, out) == (0, b"early\nlate\n")


def test_the_shim_killed_loses_no_byte_that_was_written(tmp_path):
    code = "import sys\nprint('ready', flush=True)\nsys.stdin.readline()\nprint('after', flush=True)\nsys.exit(5)"
    keeper = subprocess.Popen(
        python(code), env=running.environment(tmp_path), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert keeper.stdout.readline() == b"ready\n"
    with open(f"/proc/{keeper.pid}/task/{keeper.pid}/children") as file:
        (shim,) = [int(pid) for pid in file.read().split()]
    os.kill(shim, signal.SIGKILL)
    assert keeper.communicate(b"\n", timeout=60)[0] == b"after\n"
    assert keeper.returncode == 5


def size_of(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def test_it_is_as_large_as_ours_also_when_that_changes(tmp_path):
    code = (
        "import os, time\n"
        "size = tuple(os.get_terminal_size(1))\n"
        "print(size, flush=True)\n"
        "while tuple(os.get_terminal_size(1)) == size: time.sleep(0.01)\n"
        "print(tuple(os.get_terminal_size(1)), flush=True)\n"
    )
    pid, master = pty.fork()
    if pid == 0:
        size_of(1, 30, 100)
        command = python(code)
        os.execve(command[0], command, running.environment(tmp_path))
    shown = b""

    def seen(words):
        def look():
            nonlocal shown
            shown += os.read(master, 4096)
            return words in shown

        return look

    wait_until(seen(b"(100, 30)"), 60, "the first size")
    size_of(master, 40, 120)  # the kernel tells the group of the terminal
    wait_until(seen(b"(120, 40)"), 60, "the second size")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(master)


def test_ctrl_c_reaches_it(tmp_path):
    pid, master = pty.fork()
    if pid == 0:
        command = python("import time\nprint('ready', flush=True)\ntime.sleep(60)")
        os.execve(command[0], command, running.environment(tmp_path))
    shown = b""
    while b"ready" not in shown:
        shown += os.read(master, 4096)
    os.write(master, b"\x03")
    status = os.waitpid(pid, 0)[1]
    assert os.waitstatus_to_exitcode(status) == -signal.SIGINT
    os.close(master)


def test_standard_input_of_a_terminal_stays_that_terminal_and_ends_with_ctrl_d(tmp_path):
    pid, master = pty.fork()
    if pid == 0:
        command = python("import sys; print('ready', flush=True); print([sys.stdin.readline(), sys.stdin.read()])")
        os.execve(command[0], command, running.environment(tmp_path))
    shown = b""
    while b"ready" not in shown:
        shown += os.read(master, 4096)
    os.write(master, b"word\n\x04")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert running.captured(tmp_path) == b"ready\n['word\\n', '']\n"
    os.close(master)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_users_terminal_is_as_it_was_whatever_dies(tmp_path, number):
    """Nothing of it was changed: there is nothing to be restored, and nobody who would have to live for it."""
    pid, master = pty.fork()
    if pid == 0:
        command = python("import time\nprint('ready', flush=True)\ntime.sleep(60)")
        os.execve(command[0], command, running.environment(tmp_path))
    before = termios.tcgetattr(master)
    shown = b""
    while b"ready" not in shown:
        shown += os.read(master, 4096)
    assert termios.tcgetattr(master) == before
    os.kill(pid, number)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -number
    assert termios.tcgetattr(master) == before
    running.nobody_left(tmp_path)
    os.close(master)


@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")
def test_in_a_pane_of_tmux_it_stops_goes_on_and_is_interrupted(tmp_path):
    tmux = ["tmux", "-S", str(tmp_path / "socket"), "-f", "/dev/null"]
    env = running.environment(tmp_path, PS1="$ ")
    code = (
        "import signal, time\nsignal.signal(signal.SIGCONT, lambda *_: print('again', flush=True))\n"
        "print('rows', *__import__('os').get_terminal_size(1), flush=True)\nwhile True: time.sleep(0.05)"
    )
    (tmp_path / "go").write_text(f"exec {shlex.join(python(code))}\n")
    subprocess.run(
        [*tmux, "new-session", "-d", "-x", "90", "-y", "24", "bash --norc --noprofile -i"], env=env, check=True
    )

    def screen():
        return subprocess.run([*tmux, "capture-pane", "-p"], env=env, capture_output=True, check=True).stdout

    def keys(*names):
        subprocess.run([*tmux, "send-keys", *names], env=env, check=True)

    try:
        keys(f"sh {tmp_path}/go", "Enter")
        wait_until(lambda: b"\nrows 90 24\n" in screen(), 30, "the command in the pane")
        keys("C-z")
        # With its prompt the shell has the terminal in its own mode; what is typed while modes change may be lost in the kernel.
        wait_until(lambda: b"Stopped" in (shown := screen()) and shown.rstrip()[-1:] in b"$#", 30, "Ctrl-Z")
        keys("fg", "Enter")
        try:
            wait_until(lambda: b"\nagain\n" in screen(), 30, "fg")  # it has the terminal by then
        except AssertionError:  # seen twice in some thousand runs, and not why: whoever sees it again needs this
            who = ["ps", "-eo", "pid,ppid,pgid,tpgid,stat,pending,blocked,args", "--forest"]
            pytest.fail(f"{screen().decode()}\n{subprocess.run(who, capture_output=True, text=True).stdout}")
        keys("C-c")
        wait_until(lambda: "run.ended" in [e["ev"] for e in running.events(tmp_path)], 30, "the end")
        assert running.ended(tmp_path)["term_signal"] == "SIGINT"
        wait_until(lambda: screen().rstrip()[-1:] in b"$#", 30, "the prompt")
        keys("echo status-$?", "Enter")
        wait_until(lambda: b"status-130" in screen(), 30, "the shell")
    finally:
        subprocess.run([*tmux, "kill-server"], env=env, check=False)
