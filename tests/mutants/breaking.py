"""Break a copy of the product and run a test against it.

    python tests/mutants/breaking.py [WORD]      all mutants, or those whose name contains WORD; exit code 1 when one survives

Each named test must pass against an unbroken copy first: a test that fails anyway proves nothing.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SOURCE = os.path.join(ROOT, "src", "flightlog")
TEST_SECONDS = 300
FAILED = 1  # pytest's exit code when a test failed; anything else is not a verdict


def broken_copy(folder, mutant):
    """Copy the product into *folder* and break the copy; return the directory to put in front of PYTHONPATH."""
    target = os.path.join(folder, "flightlog")
    shutil.copytree(SOURCE, target, ignore=shutil.ignore_patterns("__pycache__"))
    for name, old, new in mutant.edits if mutant is not None else ():
        path = os.path.join(target, name)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        assert old in text, (
            f"mutant {mutant.name!r}: {name} has no {old!r} any more; change the catalogue with the code"
        )
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace(old, new))
    return folder


def run(tests, mutant):
    """Run *tests* against a copy broken by *mutant* (None: whole); return (pytest's exit code, its last words)."""
    folder = tempfile.mkdtemp(prefix="fl-mutant-", dir="/tmp")
    os.chmod(folder, 0o755)
    try:
        path = os.pathsep.join([broken_copy(folder, mutant), *filter(None, [os.environ.get("PYTHONPATH")])])
        env = dict(os.environ, PYTHONPATH=path, PYTHONDONTWRITEBYTECODE="1")
        env.setdefault("FLIGHTLOG_FAULT_SEED", "1")
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-m", "", f"--timeout={TEST_SECONDS}", *tests]
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=TEST_SECONDS * 4)
        return done.returncode, (done.stdout + done.stderr)[-3000:]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def verdict(code):
    """What the exit code of the test says of the mutant."""
    return {FAILED: "noticed", 0: "SURVIVED"}.get(code, f"NO VERDICT ({code})")


def main(word=""):
    sys.path.insert(0, HERE)
    from catalogue import MUTANTS

    chosen = [mutant for mutant in MUTANTS if word in mutant.name]
    code, words = run(sorted({mutant.test for mutant in chosen}), None)
    if code != 0:
        print(words)
        print("the unbroken copy fails already")
        return 1
    bad = 0
    for mutant in chosen:
        began = time.monotonic()
        code, words = run([mutant.test], mutant)
        bad += code != FAILED
        print(
            f"{verdict(code):14} {mutant.name:60} {mutant.test.rpartition('/')[2]}  {time.monotonic() - began:.1f} s",
            flush=True,
        )
        if code not in (0, FAILED):
            print(words)
    print(f"{len(chosen)} mutants, {len(chosen) - bad} noticed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
