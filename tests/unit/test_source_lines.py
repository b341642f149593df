"""The lines of source that an exception's frames carry, also in a Python that has loaded nothing to find them."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from flightlog import records
assert "linecache" not in sys.modules, "each start would pay for it"

def fall():
    raise %s("over")

try:
    fall()
except BaseException as problem:
    found = records.exception(problem)["frames"]
print([frame["code"] for frame in found], "tokenize" in sys.modules)
"""


@pytest.mark.parametrize("kind", ["ValueError", "KeyboardInterrupt"])
def test_found_by_who_had_not_loaded_linecache(tmp_path, kind):
    script = tmp_path / "fall.py"
    script.write_text(PROGRAM % kind)
    out = subprocess.run([sys.executable, "-S", script], env={"PYTHONPATH": ":".join(sys.path)}, capture_output=True)
    assert out.stdout.decode().strip() == "['fall()', '%s'] %s" % (f'raise {kind}("over")', kind == "ValueError"), (
        out.stderr
    )
