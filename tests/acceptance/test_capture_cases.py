"""Output capture's edge cases 1 to 14, and who holds each. Those without a test elsewhere have it here.

 1  a grandchild holds the pipe          test_run_flow: the_end_does_not_wait_for_grandchildren..., test_run_kills: late_output_after_the_shim_died
 2  the reader stalls                    test_run_flow: a_reader_that_does_not_read..., a_stalled_stderr...; test_pump: a_full_console_stops_the_pump...
 3  last words in the program's buffer   here (said by the verdict), test_run_pty: lines_of_c_programs...
 4  who reads dies                       test_run_kills: the_shim_killed_at_random_moments, the_keeper_killed..., everybody_killed_by_group
 5  bytes that are no text               test_run_transparent, test_lines, test_fuzz_captured; here: exactly as written
 6  a line of 50 MB                      here, test_lines: a_line_without_end_is_cut...
 7  progress bars                        test_bars, test_screen, test_bar_records
 8  terminal sequences                   test_lines: what_a_line_claims; test_output (what viewers print)
 9  no line end at death                 here
10  order of both streams                test_run_flow: merged_streams..., test_run_transparent: order_is_kept...
11  the files vanish under us            here
12  full disk, quota, file limits        test_run_flow: a_full_disk..., test_full_spool, test_run_limits
13  floods, many descriptors             test_run_flow: a_flood_of_lines..., test_full_spool (quota); here: a program with 300 descriptors
14  secrets                              test_canary, test_captured_text, test_redact_settings
"""

import glob
import hashlib
import os
import signal
import subprocess
import sys

import pytest

from acceptance import running
from flightlog.agent.lines import MAX_LINE_BYTES, interpret, split
from waiting import wait_until

WAYS = [[], ["--merge", "1"], ["--pty", "1"]]


def kept(options, code):
    return [*running.KEEPER, *options, "--", sys.executable, "-c", code]


@pytest.mark.parametrize("options", WAYS, ids=["pipes", "merge", "pty"])
def test_a_line_of_50_mb_is_whole_and_costs_no_memory(tmp_path, options):
    code = "import os\nfor n in range(800): os.write(1, b'%07d' % n * 9000 + b'x' * 2536)"
    status, out, _ = running.run(kept(options, code), tmp_path)
    assert status == 0 and len(out) == 800 * 65536
    assert hashlib.sha256(running.captured(tmp_path)).digest() == hashlib.sha256(out).digest()
    lines, used = split(out[: 1 << 20], False)
    assert used >= len(lines) * MAX_LINE_BYTES > 0 and all(
        line.partial and len(line.raw) == MAX_LINE_BYTES for line in lines
    )


@pytest.mark.parametrize("options", WAYS, ids=["pipes", "merge", "pty"])
@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_what_has_no_line_end_at_death_is_there(tmp_path, options, end):
    code = f"import os\nos.write(1, b'first\\nlast words')\n{end}"
    _, out, _ = running.run(kept(options, code), tmp_path)
    assert out == running.captured(tmp_path) == b"first\nlast words"
    assert [(line.raw, line.partial) for line in split(out, True)[0]] == [(b"first", False), (b"last words", True)]


def test_words_in_a_buffer_die_with_the_program_and_the_verdict_says_that(tmp_path):
    status, out, _ = running.run(kept([], "import os\nprint('lost')\nos.kill(os.getpid(), 9)"), tmp_path)
    assert (status, out, running.captured(tmp_path)) == (-signal.SIGKILL, b"", b"")
    assert "incomplete" in str(running.ended(tmp_path))


@pytest.mark.parametrize("options", WAYS, ids=["pipes", "merge", "pty"])
def test_every_byte_there_is_comes_as_it_is(tmp_path, options):
    code = "import os\ndata = bytes(range(256)) * 3\nwhile data: data = data[os.write(1, data[:7]):]"
    status, out, _ = running.run(kept(options, code), tmp_path)
    assert (status, out) == (0, bytes(range(256)) * 3) and running.captured(tmp_path) == out
    for line in split(out, True)[0]:
        interpret(line.raw)[1].encode()


@pytest.mark.parametrize("spoil", ["unlink", "truncate", "rename"])
def test_files_that_vanish_under_us_cost_the_command_nothing(tmp_path, spoil):
    code = "import sys\nprint('one', flush=True)\nsys.stdin.readline()\nfor n in range(20000): print('two', n)\nsys.exit(3)"
    keeper = subprocess.Popen(
        kept([], code),
        env=running.environment(tmp_path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert keeper.stdout.readline() == b"one\n"
    found = glob.glob(os.path.join(running.spool(tmp_path), "*.cap"))
    assert found
    for path in found:
        if spoil == "unlink":
            os.unlink(path)
        elif spoil == "rename":
            os.rename(path, path + ".away")
        else:
            os.truncate(path, 0)
    out, _ = keeper.communicate(b"\n", timeout=60)
    assert keeper.returncode == 3
    assert out == b"".join(b"two %d\n" % n for n in range(20000))


def test_a_program_with_many_descriptors_finds_them_as_without_us(tmp_path):
    code = "import os\nkept = [os.open('/dev/null', os.O_RDONLY) for _ in range(300)]\nprint(kept[-1])"
    bare = running.run([sys.executable, "-c", code], tmp_path)
    assert running.run(kept([], code), tmp_path)[:2] == bare[:2]


def test_two_hundred_children_that_write_lose_nothing(tmp_path):
    script = "i=0; while [ $i -lt 200 ]; do (echo line $i) & i=$((i+1)); done; wait"
    status, out, _ = running.run(running.kept(["sh", "-c", script]), tmp_path)
    assert status == 0 and sorted(out.split(b"\n")) == sorted([b"line %d" % n for n in range(200)] + [b""])
    wait_until(lambda: running.captured(tmp_path) == out, 15, "the capture")
