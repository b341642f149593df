"""A pipeline on input that every machine has: the source of Python's own standard library.

Owns: walking it, parsing each file with `ast`, counting (functions, classes, docstring coverage, complexity)
and writing one row per module into a SQLite table. It is an ordinary program: it logs through `logging`,
prints, and marks its stages. Nothing in it knows that somebody may kill it.

Usage: python census.py RESULT.sqlite [--limit N]
"""

import argparse
import ast
import logging
import os
import sqlite3
import sysconfig
import warnings

import flightlog

log = logging.getLogger("census")

# What adds one to the cyclomatic complexity of a function (McCabe 1976: decisions + 1).
DECISIONS = (
    ast.If,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.ExceptHandler,
    ast.BoolOp,
    ast.IfExp,
    ast.comprehension,
    ast.Assert,
)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def discover(root):
    """Return the paths of all Python files under *root*, sorted; third-party packages left out."""
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(f for f in folders if f not in ("site-packages", "dist-packages", "__pycache__"))
        found += [os.path.join(folder, name) for name in sorted(files) if name.endswith(".py")]
    return found


def measure(tree):
    """Return (functions, classes, documented, documentable, decisions) of one parsed module."""
    functions = classes = documented = decisions = 0
    for node in ast.walk(tree):
        if isinstance(node, FUNCTIONS):
            functions += 1
        elif isinstance(node, ast.ClassDef):
            classes += 1
        elif isinstance(node, DECISIONS):
            decisions += 1
            continue
        else:
            continue
        documented += ast.get_docstring(node, clean=False) is not None
    documented += ast.get_docstring(tree, clean=False) is not None
    return functions, classes, documented, functions + classes + 1, decisions


def parse(paths, root, stage):
    """Yield one row (module, lines, functions, classes, documented, documentable, complexity) per file that parses."""
    for path in stage.track(paths):
        module = os.path.relpath(path, root)
        try:
            with open(path, "rb") as file:
                source = file.read()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # invalid escapes in test data are not our topic
                tree = ast.parse(source, path)
        except (SyntaxError, ValueError, RecursionError) as problem:
            log.warning("does not parse: %s: %s", module, problem)
            continue
        functions, classes, documented, documentable, decisions = measure(tree)
        complexity = (decisions + functions) / functions if functions else 0.0
        log.info("parsed %s", module, extra={"functions": functions, "classes": classes})
        yield module, source.count(b"\n"), functions, classes, documented, documentable, complexity


def write(rows, result):
    """Write *rows* into the table `census` of the SQLite file *result*, replacing what was there; one transaction."""
    database = sqlite3.connect(result)
    with database:
        database.execute("DROP TABLE IF EXISTS census")
        database.execute(
            "CREATE TABLE census (module TEXT PRIMARY KEY, lines INTEGER, functions INTEGER, classes INTEGER,"
            " documented INTEGER, documentable INTEGER, complexity REAL)"
        )
        database.executemany("INSERT INTO census VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    database.close()


def main():
    """Run the census and print a line about it."""
    arguments = argparse.ArgumentParser(description="Take a census of Python's standard library.")
    arguments.add_argument("result", help="SQLite file to write")
    arguments.add_argument("--limit", type=int, default=None, help="stop after this many files")
    options = arguments.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S")
    root = sysconfig.get_paths()["stdlib"]
    with flightlog.run("stdlib-census") as run:
        with run.stage("discover"):
            paths = discover(root)[: options.limit]
            log.info("found %d files", len(paths))
        with run.stage("parse", total=len(paths)) as stage:
            rows = list(parse(paths, root, stage))
        with run.stage("write"):
            write(rows, options.result)
            log.info("wrote %d rows", len(rows))
        documented, documentable = sum(r[4] for r in rows), sum(r[5] for r in rows)
        print(f"{len(rows)} modules, {sum(r[2] for r in rows)} functions, {documented / documentable:.0%} documented")


if __name__ == "__main__":
    main()
