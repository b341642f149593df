"""Dying by a signal at the end of a process: after all that atexit holds, each called once."""

import os
import subprocess
import sys

import pytest

import flightlog

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(flightlog.__file__)))
HEAD = f"import atexit, os, sys, threading; sys.path.insert(0, {SOURCE!r})\n"
ARM = "from flightlog.sdk import resignal\nresignal.arm(15)\n"


def ends(code):
    env = {k: v for k, v in os.environ.items() if not k.startswith("FLIGHTLOG_")}
    done = subprocess.run([sys.executable, "-c", HEAD + code], capture_output=True, text=True, timeout=60, env=env)
    return done.returncode, done.stdout.split(), done.stderr


def test_what_was_registered_before_and_after_is_called_once_in_order():
    code = (
        "for n in (1, 2): atexit.register(print, n)\n" + ARM + "for n in (3, 4): atexit.register(print, n)\nsys.exit(3)"
    )
    assert ends(code) == (-15, ["4", "3", "2", "1"], "")


def test_a_callback_that_fails_is_printed_and_the_rest_is_called():
    status, lines, err = ends("atexit.register(print, 1)\natexit.register(lambda: 1 / 0)\n" + ARM)
    assert (status, lines) == (-15, ["1"])
    assert err.count("ZeroDivisionError") == 1


def test_functions_that_compare_equal_to_anything_do_no_harm():
    code = "class Odd:\n def __eq__(self, other): return True\n __hash__ = None\n def __call__(self): print('odd')\n"
    status, _, _ = ends(code + "atexit.register(print, 1)\n" + ARM + "atexit.register(Odd())")
    assert status == -15


def test_the_buffers_are_flushed():
    assert ends(ARM + "sys.stdout.write('text')") == (-15, ["text"], "")


def test_a_forked_child_ends_as_it_likes():
    code = ARM + "if not os.fork(): sys.exit(4)\nprint(os.WEXITSTATUS(os.wait()[1]))"
    assert ends(code) == (-15, ["4"], "")


def test_disarmed_again_the_status_is_the_programs():
    assert ends(ARM + "resignal.arm(0)\nsys.exit(5)") == (5, [], "")


@pytest.mark.parametrize("where", ["resignal.die(1)", "threading.Thread(target=resignal.die, args=(1,)).start()"])
def test_any_thread_can_end_the_process(where):
    code = "import signal; signal.signal(1, print); signal.pthread_sigmask(signal.SIG_BLOCK, {1})\n"
    assert ends(code + "from flightlog.sdk import resignal\n" + where + "\nthreading.Event().wait(30)") == (-1, [], "")


def test_a_flush_that_nobody_reads_does_not_hold_up_the_end():
    code = "r, w = os.pipe(); sys.stdout = open(w, 'w')\nimport fcntl\n"
    code += "sys.stdout.buffer.raw.write(b'x' * fcntl.fcntl(w, 1032)); sys.stdout.write('more')\n"
    code += "from flightlog.sdk import resignal\nresignal.flush_soon()\nresignal.die(15)"
    assert ends(code)[0] == -15
