"""What is loaded into a pipeline or started before it imports the standard library only, and of that nothing heavy.

First over the syntax trees: every import of these modules, also those inside functions. Then for real: a bare interpreter lists what
importing flightlog and the first record have loaded.
"""

import ast
import glob
import os
import subprocess
import sys

import pytest

import flightlog

ROOT = os.path.dirname(os.path.abspath(flightlog.__file__))
LIGHT = [
    "__init__",
    "_version",
    "bytecode",
    "later",
    "sources",
    "checkpoint",
    "errors",
    "identity",
    "records",
    "redact",
    "system",
    "journal",
    "sdk",
]  # what a pipeline loads
PARTS = [
    *LIGHT,
    "process",
    "config/__init__",
    "config/switch",
    "config/control",
    "config/compiled",
    "config/gpu_page",
    "config/quota",
    "config/flow",
    "config/gate",
    "config/rollout",
    "config/rollout_text",
]
HEAVY = {"asyncio", "dataclasses", "typing"}
# sitecustomize imports the one that it hides.
ALLOWED = {"sdk/inject/sitecustomize.py": {"sitecustomize"}}


def modules_of(parts):
    found = []
    for part in parts:
        path = os.path.join(ROOT, *part.split("/"))
        if os.path.isdir(path):
            found += glob.glob(os.path.join(path, "**", "*.py"), recursive=True)
        else:
            found.append(path + ".py")
    return sorted(os.path.relpath(path, ROOT) for path in found)


def imports_of(name):
    """Yield (absolute module, is it imported with the module, line) of each import that can be executed."""
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        tree = ast.parse(file.read(), name)
    package = ["flightlog", *name.split("/")[:-1]]

    def walk(nodes, at_import):
        for node in nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield alias.name, at_import, node.lineno
            elif isinstance(node, ast.ImportFrom):
                base = package[: len(package) - node.level + 1] if node.level else []
                base = base + (node.module or "").split(".") if node.module else base
                for alias in node.names:
                    yield ".".join([*base, alias.name]), at_import, node.lineno
            elif isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
                yield from walk(node.orelse, at_import)
            else:
                inside = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
                yield from walk(ast.iter_child_nodes(node), at_import and not inside)

    yield from walk(tree.body, True)


def file_of(name):
    """The file of the module that the dotted *name* is, or is in: `flightlog.config.control.STATE` is in config/control.py."""
    parts = name.split(".")[1:]
    while parts:
        path = os.path.join(*parts)
        for candidate in (path + ".py", os.path.join(path, "__init__.py")):
            if os.path.exists(os.path.join(ROOT, candidate)):
                return candidate
        parts.pop()
    return "__init__.py"


def test_the_modules_are_found():
    there = {"sdk/logger.py", "journal/writer.py", "process/shim.py", "config/switch.py", "records.py"}
    assert there <= set(modules_of(PARTS))


@pytest.mark.parametrize("name", modules_of(PARTS))
def test_imports_are_of_the_standard_library_or_of_these_parts(name):
    for module, _, line in imports_of(name):
        top = module.split(".")[0]
        if module in ALLOWED.get(name, ()):
            continue
        known = file_of(module) in modules_of(PARTS) if top == "flightlog" else top in sys.stdlib_module_names
        assert known, f"{name}:{line} imports {module}"


@pytest.mark.parametrize("name", modules_of([part for part in PARTS if part != "process"]))
def test_nothing_heavy_is_imported_with_the_module(name):
    for module, at_import, line in imports_of(name):
        assert not (at_import and module.split(".")[0] in HEAVY), f"{name}:{line} imports {module}"


LISTING = "import sys; before = set(sys.modules); sys.path.insert(0, %r)\n%s\nprint(*sorted(set(sys.modules) - before))"


@pytest.mark.parametrize(
    ("code", "forbidden"),
    [
        ("import flightlog", {"json", "logging", "re", "threading", "os", "ctypes", "flightlog.sdk"}),
        ("import flightlog; flightlog.get_logger('x').info('first', rows=1)", {"logging", "inspect", "subprocess"}),
        ("import flightlog, logging; flightlog.init(); logging.warning('first')", {"inspect", "subprocess", "pickle"}),
        (
            "import flightlog\nwith flightlog.run('etl') as run:\n with run.stage('s'): pass",
            {"logging", "inspect", "subprocess"},
        ),
    ],
)
def test_import_and_first_record_load_little(tmp_path, code, forbidden):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("FLIGHTLOG_", "PYTHON"))}
    env["FLIGHTLOG_HOME"] = str(tmp_path / "home")
    command = [sys.executable, "-I", "-S", "-c", LISTING % (os.path.dirname(ROOT), code)]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert not loaded & (forbidden | HEAVY)
    strangers = {m for m in loaded if m.split(".")[0] not in sys.stdlib_module_names and m.split(".")[0] != "flightlog"}
    assert not strangers
    assert "flightlog" in loaded
    if "first" in code or "stage" in code:
        assert glob.glob(str(tmp_path / "home" / "spool" / "*" / "*.seg"))
