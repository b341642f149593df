"""What a kept process says by sd_notify, and the watchdog."""

import sys

from conformance.kept import alive
from waiting import wait_until

SPEAK = (
    "import socket\n"
    "def say(text):\n"
    "    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect(os.environ['NOTIFY_SOCKET']); s.send(text)\n"
)


def test_readiness_and_status(kept):
    body = (
        SPEAK
        + "sys.stdin.read()\ntime.sleep(0.3); say(b'STATUS=loading\\n'); say(b'READY=1\\nSTATUS=serving 3')\ntime.sleep(1000)"
    )
    kept.keep.start_process("api", kept.counting(body), daemon_mode=True)
    assert kept.status("api")["ready"] is None
    wait_until(lambda: kept.status("api")["ready"])
    assert kept.status("api")["status"] == "serving 3"
    kept.keep.restart_process("api")
    assert kept.status("api")["ready"] is None and kept.status("api")["status"] is None


def test_after_adoption_it_is_still_heard(kept):
    body = SPEAK + ("while True:\n    time.sleep(0.05)\n    try: say(b'READY=1')\n    except OSError: pass\n")
    kept.keep.start_process("api", kept.counting(body), daemon_mode=True)
    kept.kill_caretaker("api")
    kept.keep.list_processes()
    wait_until(lambda: kept.status("api")["ready"])


def test_who_stops_to_bark_is_ended_and_started_again(kept):
    body = SPEAK + (
        "assert int(os.environ['WATCHDOG_USEC']) == 500000\n"
        "for _ in range(10): say(b'WATCHDOG=1'); time.sleep(0.05)\n"
        "time.sleep(1000 if count < 3 else 0.01)\n"
        "say(b'READY=1')\n"
        "while True: say(b'WATCHDOG=1'); time.sleep(0.05)"
    )
    first = kept.keep.start_process("dog", kept.counting(body), daemon_mode=True, watchdog_s=0.5, grace_s=1.0)
    wait_until(lambda: len(kept.starts()) == 3, 30)
    wait_until(lambda: kept.status("dog")["ready"])
    found = kept.status("dog")
    assert not alive(first) and found["verdict"] == "hang-killed" and found["restarts"] == 2


def test_who_never_barks_is_no_dog(kept):
    kept.keep.start_process("cat", [sys.executable, "-c", "import time; time.sleep(1.2)"], watchdog_s=0.2)
    assert kept.await_state("cat", "succeeded", "failed")["verdict"] == "ok"
