"""Output that is written when the interpreter goes down, and tracebacks about a closed console: as without us, in every interpreter."""

import os
import subprocess
import sys

import pytest
from running import environment
from test_injected import VERSIONS, interpreter, raw_output

# Each leaves text in the buffer of standard output that is written only after the names of modules are gone.
PROGRAMS = {
    "stream wrapped by an object that does not flush": """
import sys
class Tee:
    def __init__(self, stream): self.stream, self.copy = stream, open("copy.txt", "w")
    def write(self, text): self.stream.write(text); self.copy.write(text)
    def flush(self): pass
sys.stdout = Tee(sys.stdout)
print("result: 42")
""",
    "finalizer of a cycle": """
class Last:
    def __del__(self): print("bye")
last = Last(); last.me = last
""",
    "stream kept beside a new one": """
import sys
old = sys.stdout; sys.stdout = open("/dev/null", "w"); old.write("kept\\n")
""",
    "marked text that nobody flushed": """
import logging, sys
class Lazy(logging.StreamHandler):
    def flush(self): pass
class Tee:
    def __init__(self, stream): self.stream = stream
    def __getattr__(self, name): return getattr(self.stream, name)
    def flush(self): pass
logging.basicConfig(level=20, handlers=[Lazy(sys.stdout)])
sys.stdout = Tee(sys.stdout)
logging.info("logged"); print("printed")
""",
    "text of a sub-interpreter": """
try:
    import _interpreters as interpreters
except ImportError:
    try:
        import _xxsubinterpreters as interpreters
    except ImportError:
        interpreters = None
if interpreters is not None:
    made = interpreters.create()
    (getattr(interpreters, "run_string", None) or interpreters.exec)(made, "print('from within')")
    interpreters.destroy(made)
print("end")
""",
}
FOREVER = "i = 0\nwhile True:\n    print(i)\n    i += 1\n"


@pytest.mark.parametrize("version", [*VERSIONS, "pypy3"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_written_at_the_very_end_arrives(tmp_path, version, name):
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    outcomes = []
    for front in ([], [sys.executable, "-m", "flightlog", "run", "--"]):
        env = environment(tmp_path / "home", FLIGHTLOG_AGENT="never")
        done = subprocess.run(
            [*front, python, "-c", PROGRAMS[name]], env=env, cwd=tmp_path, capture_output=True, timeout=60
        )
        outcomes.append((done.returncode, done.stdout, done.stderr))
    assert outcomes[1] == outcomes[0]
    assert outcomes[0][1] or version == "pypy3"  # PyPy flushes nothing that it was not told to
    recorded = outcomes[0][1].replace(b"INFO:root:logged\n", b"")  # that one is a record
    assert raw_output(tmp_path / "home") == recorded


@pytest.mark.parametrize("version", [*VERSIONS, "pypy3"])
def test_a_console_that_is_closed_breaks_the_program_as_it_would_have(tmp_path, version):
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    outcomes = []
    for front in ([], [sys.executable, "-m", "flightlog", "run", "--"]):
        env = environment(tmp_path / "home", FLIGHTLOG_AGENT="never")
        started = subprocess.Popen(
            [*front, python, "-c", FOREVER], env=env, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert started.stdout.readline() == b"0\n"
        started.stdout.close()
        outcomes.append((started.stderr.read(), started.wait(60)))
        started.stderr.close()
    assert outcomes[1] == outcomes[0]
    assert b"BrokenPipeError" in outcomes[0][0]


def test_a_record_longer_than_any_mark_is_recorded_once_and_the_rest_of_its_text_captured(tmp_path):
    program = "import logging; logging.warning('L' * 1100000); logging.warning('next')"
    env = environment(tmp_path / "home", FLIGHTLOG_AGENT="never")
    done = subprocess.run(
        [sys.executable, "-m", "flightlog", "run", "--", sys.executable, "-c", program],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
    )
    assert done.stderr == b"WARNING:root:" + b"L" * 1100000 + os.linesep.encode() + b"WARNING:root:next\n"
    rest = raw_output(tmp_path / "home")
    assert rest == b"L" * (1100000 + len("WARNING:root:") - 65536) + b"\n"
