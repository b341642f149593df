"""`flightlog run` changes nothing that a program or its caller can see: each case runs bare and recorded."""

import os
import signal
import subprocess
import sys

import pytest
import running

from waiting import wait_until

PY = sys.executable

CASES = {
    "write to /dev/stdout": "echo one; echo x > /dev/stdout; echo two",
    "write to /dev/stderr": "echo x > /dev/stderr; echo y >&2",
    "append to /dev/stdout": "echo one; echo x >> /dev/stdout; echo two",
    "tee to /dev/stderr": "echo hello | tee /dev/stderr",
    "tee to /dev/stdout": "echo hello | tee /dev/stdout | tr h j",
    "yes into head inside": "yes | head -1",
    "limit on file sizes": "ulimit -f 1; head -c 5000 /dev/zero; echo done; head -c 5000 /dev/zero > big; echo $?",
    "reads stdin": "cat; echo end",
    "reads part of stdin": 'head -1; read x; echo "[$x]"',
    "no final newline": "printf abc; printf def >&2",
    "binary": r"printf '\000\001\377\200\n\033[31mred\033[0m\r50%%\r100%%\n'",
    "incomplete mark": r"printf '\033_fl;0123'; printf 'tail\033'",
    "mark with a wrong sum": r"printf '\033_fl;00000000000000000000000000000000.1;5;00000000\033\\hello\n'",
    "nothing at all": ":",
    "exec into another": "echo before; exec echo after",
    "closes its own stdout": "echo a; exec >&-; echo b; echo $? >&2",
    "closes both": "exec >&- 2>&-; echo b; exit 3",
    "moves stderr to stdout": "exec 2>&1; echo a; echo b >&2; echo c",
    "background child ends first": "(echo child) & wait; echo parent",
    "trap at exit": "trap 'echo bye' EXIT; echo hi; exit 7",
    "wait status of a child": "sh -c 'kill -9 $$'; echo $?",
    "files and cwd": "pwd | tail -c 5; echo data > file; umask; ls",
    "descriptor 3 closed": "echo x >&3; echo $?",
}


def both(tmp_path, command, stdin=b"", **more):
    """Run *command* bare and recorded in two fresh folders; return both outcomes with the files left."""
    outcomes = []
    for name, line in (("bare", command), ("kept", running.kept(command))):
        folder = tmp_path / name / "here"
        folder.mkdir(parents=True)
        result = running.run(line, tmp_path / "home", cwd=str(folder), stdin=stdin, **more)
        outcomes.append((*result, sorted((p.name, p.stat().st_size) for p in folder.iterdir())))
    running.nobody_left(tmp_path / "home")
    return outcomes


@pytest.mark.parametrize("name", sorted(CASES))
def test_same_as_bare(tmp_path, name):
    bare, kept = both(tmp_path, ["sh", "-c", CASES[name]], stdin=b"first\nsecond\nthird\n")
    assert kept == bare


@pytest.mark.parametrize("command", [["nosuchcommand"], ["/etc/passwd"], ["/"], ["./missing"], [""], ["/etc/passwd/x"]])
def test_what_cannot_be_executed_ends_like_env(tmp_path, command):
    expected = (
        subprocess.run(["env", "--", *command], capture_output=True, check=False).returncode if command[0] else 127
    )
    code, out, err = running.run(running.kept(command), tmp_path / "home", cwd=str(tmp_path))
    assert (code, out) == (expected, b"")
    assert err.startswith(b"flightlog: %s: " % command[0].encode()) and err.count(b"\n") == 1
    assert running.ended(tmp_path / "home")["exec_errno"] > 0


def test_a_script_without_its_first_line_is_run_by_sh(tmp_path):
    script = tmp_path / "script"
    script.write_text("echo hello $1\n")
    script.chmod(0o755)
    assert running.run(running.kept([str(script), "you"]), tmp_path / "home") == (0, b"hello you\n", b"")


def test_all_exit_codes(tmp_path):
    """One interpreter start per code would be slow: 0 to 255 in steps that touch every bit, and the edges."""
    for code in [0, 1, 2, 3, 7, 42, 64, 77, 100, 126, 127, 128, 129, 130, 137, 139, 143, 200, 254, 255]:
        home = tmp_path / str(code)
        assert running.run(running.kept(["sh", "-c", f"exit {code}"]), home)[0] == code
        assert running.ended(home)["exit_code"] == code


FATAL = [n for n in signal.valid_signals() if n not in (18, 19, 20, 21, 22, 17, 23, 28) and n < 35]


@pytest.mark.parametrize("number", FATAL)
def test_death_by_each_signal(tmp_path, number):
    code, out, _ = running.run(running.kept(["sh", "-c", f"echo before; kill -{int(number)} $$; echo after"]), tmp_path)
    assert (code, out) == (-number, b"before\n")
    record = running.ended(tmp_path)
    assert record["term_signal"].startswith("SIG") and record["exit_code"] is None
    assert os.WTERMSIG(record["wait_status"]) == number


def test_both_lines_and_the_death_are_recorded(tmp_path):
    command = ["sh", "-c", "echo hello; echo oops >&2; kill -SEGV $$"]
    assert running.run(running.kept(command), tmp_path) == (-11, b"hello\n", b"oops\n")
    assert running.captured(tmp_path) == b"hello\n"
    assert running.captured(tmp_path, "stderr") == b"oops\n"
    assert [e["ev"] for e in running.events(tmp_path)][0] == "run.started"
    assert running.ended(tmp_path)["term_signal"] == "SIGSEGV"
    assert running.all_ended(tmp_path)


SHOW = """
import os, json, signal, resource
fds = {}
for n in os.listdir("/proc/self/fd"):
    try: fds[n] = os.readlink("/proc/self/fd/" + n).split(":")[0]
    except OSError: pass
lines = dict(l.split(":", 1) for l in open("/proc/self/status") if ":" in l)
print(json.dumps({
  "fds": sorted(fds.items()), "mask": lines["SigBlk"], "ignored": lines["SigIgn"], "env": dict(os.environ),
  "umask": os.umask(0),
  "limits": {str(k): resource.getrlimit(k) for k in range(16)}, "nice": os.nice(0),
  "pgrp": os.getpgrp() == os.getpgid(os.getppid()),
  "sid": os.getsid(0), "cwd": os.getcwd()}))
"""


def seen_by_child(command, tmp_path, **how):
    done = subprocess.run(
        command,
        capture_output=True,
        env=running.environment(tmp_path / "home", LC_ALL=""),
        check=True,
        cwd=tmp_path,
        **how,
    )
    import json

    return json.loads(done.stdout)


def block_usr1():
    import resource

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CPU, (1000, 2000))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 31))


def test_the_command_finds_what_it_would_have_found(tmp_path):
    script = tmp_path / "show.py"
    script.write_text(SHOW)
    command = [PY, "-I", "-S", str(script)]
    source, sink = os.pipe()
    how = {"pass_fds": (source,), "preexec_fn": block_usr1}
    bare = seen_by_child(command, tmp_path, **how)
    kept = seen_by_child(running.kept(command), tmp_path, **how)
    os.close(source)
    os.close(sink)
    ours = {k: v for k, v in kept["env"].items() if k.startswith("FLIGHTLOG_") or k == "PYTHONPATH"}
    theirs = {k: v for k, v in kept["env"].items() if k not in ours}
    assert theirs == {k: v for k, v in bare["env"].items() if k not in ours}
    assert set(ours) == {"PYTHONPATH"} | {
        "FLIGHTLOG_" + k
        for k in [
            "RUN",
            "PIPELINE",
            "SPOOL",
            "CONTROL",
            "CAPTURE",
            "NODE",
            "KEEPER",
            "EVIDENCE",
            "ADOPT",
            "HOME",
            "AGENT",
        ]
    }
    assert ours["FLIGHTLOG_ADOPT"].startswith(ours["FLIGHTLOG_RUN"] + ":")
    bare.pop("env"), kept.pop("env")
    assert kept == bare


def test_the_dsn_is_not_passed_on(tmp_path):
    env = running.environment(tmp_path, FLIGHTLOG_DSN="postgresql://secret")
    assert running.run(running.kept(["sh", "-c", 'echo "[$FLIGHTLOG_DSN]"']), tmp_path, env=env)[1] == b"[]\n"


@pytest.mark.parametrize("closed", ["0", "1", "2", "12", "012"])
def test_closed_descriptors_stay_closed(tmp_path, closed):
    """The caller closes some of 0, 1, 2: the command finds the same ones closed, and nothing else opened."""
    (tmp_path / "look.py").write_text(
        "import os,sys\nr=[]\nfor n in range(0,12):\n"
        "    try: os.fstat(n); r.append(n)\n    except OSError: pass\nopen(sys.argv[1],'w').write(str(r))\n"
    )
    seen = []
    for name in ("bare", "kept"):
        command = [PY, "-I", "-S", str(tmp_path / "look.py"), str(tmp_path / name)]
        command = running.kept(command) if name == "kept" else command
        shut = " ".join(f"{n}{'<' if n == '0' else '>'}&-" for n in closed)
        code = subprocess.run(
            ["sh", "-c", f'exec {shut}; exec "$@"', "sh", *command],
            env=running.environment(tmp_path / "home"),
            check=False,
        ).returncode
        assert code == 0
        seen.append((tmp_path / name).read_text())
    assert seen[0] == seen[1]


def test_a_descriptor_that_cannot_be_written_is_left_alone(tmp_path):
    for line in (["sh", "-c", "echo x; echo $? >&2"], running.kept(["sh", "-c", "echo x; echo $? >&2"])):
        with open(os.devnull) as null:
            done = subprocess.run(
                line, stdout=null, stderr=subprocess.PIPE, env=running.environment(tmp_path), check=False
            )
        assert done.stderr.splitlines()[-1] not in (b"0",)


def test_order_is_kept_when_both_go_to_the_same_place(tmp_path):
    script = "for i in 1 2 3 4 5 6 7 8 9; do echo out $i; echo err $i >&2; done"
    for line in (["sh", "-c", script], running.kept(["sh", "-c", script])):
        done = subprocess.run(
            line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=running.environment(tmp_path), check=False
        )
        assert done.stdout == b"".join(b"out %d\nerr %d\n" % (i, i) for i in range(1, 10))
    (meta,) = running.metas(tmp_path)
    assert meta["stream"] == "stdout" and meta["merged"]


@pytest.mark.parametrize("mode", ["wb", "ab", "same"])
def test_a_regular_file_as_console(tmp_path, mode):
    script = "echo one; echo err >&2; head -c 300000 /dev/zero; echo two"
    seen = []
    for name in ("bare", "kept"):
        command = ["sh", "-c", script]
        path = tmp_path / name
        path.write_bytes(b"before\n")
        with open(path, "ab" if mode != "wb" else "wb") as out, open(tmp_path / (name + ".err"), "ab") as err:
            subprocess.run(
                running.kept(command) if name == "kept" else command,
                stdout=out,
                stderr=out if mode == "same" else err,
                env=running.environment(tmp_path / "home"),
                check=True,
            )
        seen.append((path.read_bytes(), (tmp_path / (name + ".err")).read_bytes()))
    assert seen[0] == seen[1]


def test_the_differences_that_the_manual_names(tmp_path):
    """docs/reference/run.md, "Differences that remain": should one of these be gone one day, so should its line."""
    script = "echo one; echo x > /dev/stdout; echo two"
    for name, command in (("bare", ["sh", "-c", script]), ("kept", running.kept(["sh", "-c", script]))):
        with open(tmp_path / name, "wb") as out:
            subprocess.run(command, stdout=out, env=running.environment(tmp_path / "home"), check=True)
    assert (tmp_path / "bare").read_bytes() == b"x\n\0\0two\n"
    assert (tmp_path / "kept").read_bytes() == b"one\nx\ntwo\n"
    home = tmp_path / "another"
    command = running.kept(["seq", "1", "100000"])
    keeper = subprocess.Popen(command, stdout=subprocess.PIPE, env=running.environment(home))
    wait_until(lambda: running.metas(home) and len(running.captured(home)) == 588895, 20, "all that it writes")
    keeper.stdout.close()  # its reader has read nothing
    assert keeper.wait(20) == 0
