"""Programs that nobody here wrote run as they do alone: the same exit status, the same bytes on both streams, all of them recorded.

Times, pids, ports and temporary names differ between two runs of the same program and are masked on both sides; nothing else is.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from acceptance import running
from waiting import wait_until

MASKS = [
    (re.compile(rb"\d+\.\d+\s?(?:s|sec|seconds)\b"), b"<s>"),
    (re.compile(rb"\d+(?:\.\d+)? (?:kB|MB|bytes)"), b"<size>"),
    (re.compile(rb"(?:/tmp)?/[\w./-]*(?:pip|pytest|tmp)[\w./-]*"), b"<path>"),
    (re.compile(rb"sha256=[0-9a-f]+|0x[0-9a-f]+"), b"<sum>"),
    (re.compile(rb"\[\d+\]"), b"[<pid>]"),
    (re.compile(rb"127\.0\.0\.1:\d+"), b"<address>"),
]


def masked(data):
    for pattern, word in MASKS:
        data = pattern.sub(word, data)
    return data


def both(command, tmp_path, cwd=None, **more):
    """Run *command* alone and under the keeper; return what is the same: (status, stdout, stderr), masked."""
    env = running.environment(tmp_path / "home", **more)
    alone = running.run(command, tmp_path, cwd=cwd, env=env, timeout=300)
    kept = running.run(running.kept(command), tmp_path, cwd=cwd, env=env, timeout=300)
    assert kept[0] == alone[0], kept[2][-2000:]
    assert masked(kept[1]) == masked(alone[1])
    assert masked(kept[2]) == masked(alone[2])
    end = running.ended(tmp_path / "home")
    # A helper of multiprocessing may hold the streams for a moment longer than its program: then they have not ended yet.
    assert {one["stream"]: one["lost"] for one in end["captures"]} == {"stdout": 0, "stderr": 0}
    return kept


def test_pytest_on_tests_of_the_standard_library(tmp_path):
    pytest.importorskip("test.test_textwrap", reason="not run: this Python came without its tests")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-p",
        "no:hypothesispytest",
    ]
    status, out, _ = both(
        [*command, "--pyargs", "test.test_fnmatch", "test.test_shlex", "test.test_textwrap"], tmp_path, tmp_path
    )
    assert status == 0 and b"passed" in out


def test_pip_builds_a_wheel(tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n[project]\nname = "something"\nversion = "1"\n'
    )
    (project / "something.py").write_text("x = 1\n")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-cache-dir",
        "--disable-pip-version-check",
        "-w",
        "out",
        ".",
    ]
    status, out, err = both(command, tmp_path, project)
    if status and (b"Could not find" in err or b"Connection" in err):
        pytest.skip("not run: no package registry can be reached")
    assert status == 0 and b"Successfully built something" in out


POOL = """
import multiprocessing, os, sys
def square(n):
    if n == 7:
        print("seven", flush=True)
    return n * n
if __name__ == "__main__":
    with multiprocessing.get_context(sys.argv[1]).Pool(3) as pool:
        print(sum(pool.map(square, range(1000))))
"""


@pytest.mark.parametrize("kind", ["fork", "spawn"])
def test_a_multiprocessing_pool(tmp_path, kind):
    (tmp_path / "pool.py").write_text(POOL)
    status, out, err = both([sys.executable, "pool.py", kind], tmp_path, tmp_path)
    assert (status, out, err) == (0, b"seven\n332833500\n", b"")


def test_a_shell_pipeline(tmp_path):
    script = "set -e; seq 1 50000 | awk '{s += $1} END {print s}'; printf 'a\\0b\\377' ; yes | head -3; ls /nonexistent; echo not reached"
    status, out, err = both(["bash", "-c", script], tmp_path)
    assert status == 2 and out.startswith(b"1250025000\na\0b\377y\ny\ny\n") and b"nonexistent" in err


def test_a_program_under_pypy(tmp_path):
    pypy = shutil.which("pypy3") or pytest.skip("not run: there is no pypy3 here")
    program = "import logging, sys; logging.basicConfig(level=20); logging.info('x %d', 1); print(sys.version.count('PyPy')); sys.exit(4)"
    status, out, err = both([pypy, "-c", program], tmp_path)
    assert (status, out, err) == (4, b"1\n", b"INFO:root:x 1\n")


APP = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    print("asked for", scope["path"], flush=True)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"here"})
"""


def serve(command, env, folder, port):
    """Start a server, ask it twice, end it as a service manager does; return (status, sorted lines of both streams)."""
    server = subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def answers():
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/first", timeout=5).read()
        except OSError:
            assert server.poll() is None, server.stderr.read()
            return None

    assert wait_until(answers, 60, "the server to answer") == b"here"
    server.send_signal(signal.SIGTERM)
    out, err = server.communicate(timeout=60)
    # Two workers say the same in either order.
    return server.returncode, sorted(masked(out).splitlines()), sorted(masked(err).splitlines())


def test_a_web_server_with_workers(tmp_path):
    pytest.importorskip("uvicorn")
    (tmp_path / "served.py").write_text(APP)
    env = running.environment(tmp_path / "home")
    found = []
    for prefix in ([], running.kept([])):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [
            sys.executable,
            "-m",
            "uvicorn",
            "served:app",
            "--port",
            str(port),
            "--workers",
            "2",
            "--no-access-log",
        ]
        found.append(serve([*prefix, *command], env, tmp_path, port))
    assert found[0] == found[1]
    assert b"asked for /first" in found[1][1]
    assert os.path.isdir(running.spool(tmp_path / "home"))
