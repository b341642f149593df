"""What cannot be ended is said to be there, by name; it is not said to be gone."""

import os
import shutil
import signal
import subprocess
import tempfile

import pytest

from accounts import account, needs_root
from conformance.kept import alive
from waiting import wait_until

CODE = """
import json, os, sys
from flightlog.process.{module} import {name} as C
keep = C(home={home!r})
pid = keep.start_process("mixed", [{shell!r}, "-p", "-c", "setpriv --reuid=0 --regid=0 --clear-groups sleep 1000 & exec sleep 1000"], daemon_mode=True)
sys.stdout.write("started\\n"); sys.stdout.flush()
sys.stdin.readline()
done = keep.stop_process("mixed", timeout=0.2)
print(json.dumps([pid, done, keep.get_process_status("mixed")]), flush=True)
sys.stdin.readline()
print(json.dumps([keep.stop_process("mixed", timeout=0.2), keep.get_process_status("mixed")["state"]]), flush=True)
"""


@needs_root
@pytest.mark.parametrize(
    "module,name", [("controller", "ProcessController"), ("enhanced", "EnhancedProcessController")]
)
def test_a_process_that_became_another_user_s(module, name):
    """An unprivileged user's process starts one that becomes root: it gets no signal of that user's."""
    import json

    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    if python is None:
        pytest.skip("no Python that every account may execute")
    uid, gid = account("nobody")
    home = tempfile.mkdtemp(prefix="fl-", dir="/tmp")
    shell = os.path.join(home, "shell")
    shutil.copy("/bin/bash", shell)
    os.chmod(shell, 0o4755)
    os.chown(home, uid, gid)
    import flightlog

    environment = {
        "PATH": os.environ["PATH"],
        "FLIGHTLOG_HOME": os.path.join(home, "h"),
        "FLIGHTLOG_AGENT": "never",
        "PYTHONPATH": os.path.dirname(os.path.dirname(flightlog.__file__)),
    }
    code = CODE.format(module=module, name=name, home=os.path.join(home, "h"), shell=shell)
    user = subprocess.Popen(
        [shutil.which("setpriv"), f"--reuid={uid}", f"--regid={gid}", "--clear-groups", python, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        cwd=home,
    )
    root = 0
    try:
        assert user.stdout.readline() == b"started\n", user.stderr.read()
        root = wait_until(lambda: _root_sleeper(home))
        user.stdin.write(b"\n")
        user.stdin.flush()
        pid, done, status = json.loads(user.stdout.readline())
        assert done is False and status["state"] == "stop_failed"
        assert [text.split()[0] for text in status["survivors"]] == [str(root)] and "sleep" in status["survivors"][0]
        assert alive(root) and not alive(pid)
        os.kill(root, signal.SIGKILL)  # its user, or root, ends it: then the stop comes to its end
        user.stdin.write(b"\n")
        user.stdin.flush()
        assert json.loads(user.stdout.readline()) == [True, "stopped"]
    finally:
        user.kill()
        user.wait()
        if root and alive(root):
            os.kill(root, signal.SIGKILL)
        shutil.rmtree(home, ignore_errors=True)


def _root_sleeper(home):
    """The pid of the `sleep` that has this home in its environment and is root's in all ways."""
    for pid in os.listdir("/proc"):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file, open(f"/proc/{pid}/status") as status:
                lines = dict(line.split(":", 1) for line in status)
                if (
                    os.fsencode(home) in file.read()
                    and lines["Name"].strip() == "sleep"
                    and set(lines["Uid"].split()) == {"0"}
                ):
                    return int(pid)
        except (OSError, ValueError):
            continue
    return 0
