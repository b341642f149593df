"""The command line, its help and its pages in docs/reference/cli say the same."""

import json
import os
import re
import shlex

import click
import pytest

import flightlog
from flightlog import errors
from flightlog.cli import audit, group, logline, metrics, status, why
from flightlog.query.audit import Audit, WriterAudit
from flightlog.query.drops import Drops
from flightlog.query.logs import Line
from flightlog.query.metrics import Metrics, Series
from flightlog.query.runs import Run
from flightlog.query.why import Evidence
from unit.query.command import Command

PAGES = os.path.join(os.path.dirname(flightlog.__file__), "..", "..", "docs", "reference", "cli")
CODE = re.compile(r"`([^`]+)`")
ENDS_ARGUMENTS = ("|", "||", "&&", ">", ">>", "<", ";", "&")


def page(name):
    with open(os.path.join(PAGES, name + ".md"), encoding="utf-8") as file:
        return file.read()


def commands():
    """Yield (words, command) of every command and subcommand that people may call."""

    def below(words, command):
        yield words, command
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                yield from below([*words, name], command.get_command(context, name))

    return [(words, command) for words, command in below(["flightlog"], group.flightlog) if not command.hidden]


COMMANDS = commands()
NAMES = sorted({words[1] for words, _ in COMMANDS if len(words) > 1})
EACH = pytest.mark.parametrize(("words", "command"), COMMANDS, ids=[" ".join(words) for words, _ in COMMANDS])


def options_of(command):
    return {
        name
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.hidden
        for name in [*parameter.opts, *parameter.secondary_opts]
    } - {"--version"}


def tables(text):
    """Yield (header cells, rows of cells) of each table of a page."""
    for found in re.finditer(r"^(\|.*\|)\n\|[-|]+\|\n((?:\|.*\|\n)+)", text, re.MULTILINE):
        head, rows = found[1], found[2].splitlines()
        yield cells(head), [cells(row) for row in rows]


def cells(row):
    return [cell.strip() for cell in row.replace("\\|", "\0").strip("|").split("|")]


def test_each_command_has_a_page_and_each_page_a_command():
    pages = {name[:-3] for name in os.listdir(PAGES)}
    assert pages == {"README", *NAMES}
    index = page("README")
    assert all(f"[{name}]({name}.md)" in index for name in NAMES)
    for name in pages:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page(name)):
            assert os.path.exists(os.path.join(PAGES, target)), (name, target)


@EACH
def test_help_has_an_example_and_is_not_cut(words, command):
    context = click.Context(command, info_name=" ".join(words), terminal_width=80)
    assert re.search(
        r"\n\s+Examples?:\n\s+flightlog |\n\s+Examples:\n\s+source <\(flightlog ", command.get_help(context)
    )
    for line in command.get_help(context).partition("\nCommands:\n")[2].splitlines():
        assert not line.endswith("..."), line
    assert all(one.help for one in command.params if isinstance(one, click.Option) and not one.hidden)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_and_its_command_know_the_same_options(name):
    known = set()
    for words, command in COMMANDS:
        if words[1:2] == [name]:
            known |= options_of(command)
            assert " ".join(words[1:]) in page(name)
    documented = {
        option
        for head, rows in tables(page(name))
        if "option" in head
        for row in rows
        for option in CODE.findall(row[head.index("option")])
    }
    assert documented == known


def examples():
    """Yield each `flightlog ...` that help texts and pages show."""
    for words, command in COMMANDS:
        for line in (command.help or "").splitlines():
            if line.strip().startswith("flightlog "):
                yield " ".join(words), re.split(r" {3,}", line.strip())[0]
    for name in [*NAMES, "README"]:
        for line in page(name).splitlines():
            if line.startswith("$ flightlog "):
                yield name + ".md", line[2:]


@pytest.mark.parametrize(("where", "line"), list(examples()))
def test_examples_can_be_typed(where, line):
    arguments = []
    for word in shlex.split(line.replace("<Tab>", ""), comments=True)[1:]:
        if word in ENDS_ARGUMENTS:
            break
        arguments.append(word)
    command, context = group.flightlog, None
    while True:
        context = command.make_context(command.name, arguments, parent=context)
        if not isinstance(command, click.Group):
            break
        name, command, arguments = command.resolve_command(context, [*context._protected_args, *context.args])


def fields(name):
    """The names in the first columns of a page's tables of fields."""
    return {
        field
        for head, rows in tables(page(name))
        if head[0] == "field"
        for row in rows
        for field in CODE.findall(row[0])
    }


def test_fields_of_a_log_line():
    line = Line(*[None] * len(Line._fields))._replace(flags=15)
    from datetime import datetime, timezone

    now = datetime.now(timezone.utc)
    assert set(logline.as_json(line._replace(ts=now, ts_claimed=now))) == fields("logs")


def test_fields_of_a_run():
    from dataclasses import fields as columns
    from datetime import datetime, timezone

    values = {column.name: None for column in columns(Run)}
    values.update(run="0" * 26, data={}, started_at=datetime.now(timezone.utc))
    assert set(status.as_json(Run(**values), Drops())) == fields("status")


def test_fields_of_an_explanation():
    from dataclasses import fields as columns
    from datetime import datetime, timezone

    values = {column.name: None for column in columns(Run)}
    values.update(run="0" * 26, data={}, started_at=datetime.now(timezone.utc))
    assert set(why.as_json(Evidence(Run(**values), {}), {}, [])) == fields("why")


def test_fields_of_metrics():
    from dataclasses import fields as columns
    from datetime import datetime, timezone

    values = {column.name: None for column in columns(Run)}
    values.update(run="0" * 26, data={}, started_at=datetime.now(timezone.utc))
    series = Series("rss_kb", "gauge", 1, 1.0, 1.0, 1.0, 1.0, 1.0, None, [])
    data = metrics.as_json(Run(**values), Metrics(1.0, [series]))
    assert set(data) | set(data["metrics"][0]) == fields("metrics")


def test_fields_of_what_is_resumed():
    from dataclasses import fields as columns
    from datetime import datetime, timezone

    from flightlog.cli import checkpoints, resume
    from flightlog.query.checkpoints import Kept, Value, Work

    now = datetime.now(timezone.utc)
    values = {column.name: None for column in columns(Run)}
    values.update(run="0" * 26, pipeline="orders", attempt=1, data={}, started_at=now)
    work = Work("0" * 24, "0" * 26, values={"k": Value("k", None, 1, 1, "0" * 26, now, 1, "1")})
    kept = Kept("0" * 26, [Run(**values)], [work], [])
    data = checkpoints.as_json(kept)
    assert set(data) | set(data["values"][0]) == fields("checkpoints")
    plan = resume.as_json(resume.Plan(kept))
    assert set(plan) == fields("resume") and plan["checkpoints"] == data["values"]


def test_fields_of_stacks():
    from flightlog.process import proctree, whereabouts
    from flightlog.process.living import Living

    run = Living("0" * 26, "orders", "")
    run.processes = {os.getpid(): proctree.look(os.getpid())}
    data = whereabouts.look(run)
    (process,) = data["processes"]
    assert set(data) | set(process) | set(process["threads"][0]) == fields("stacks")


def test_fields_of_a_kept_process(tmp_path):
    from flightlog.process.statedir import StateDir
    from flightlog.process.view import view

    assert set(view(StateDir(str(tmp_path), "api"), {})) == fields("ps")


def test_fields_of_an_audit():
    from dataclasses import fields as columns

    writer = WriterAudit(**{**{column.name: 0 for column in columns(WriterAudit)}, "drops": {}})
    data = audit._as_json(Audit([writer]))
    assert set(data) | set(data["writers"][0]) == fields("audit")


def test_fields_of_the_others(dsn, home):
    command = Command(dsn, home)
    assert set(json.loads(command("version", "-o", "json")[0])) == fields("version")
    assert set(json.loads(command("agent", "status", "-o", "json")[0])) == fields("agent")
    data = json.loads(command("db", "status", "-o", "json")[0])
    assert set(data) | set(data["migrations"][0]) == fields("db")


def test_exit_codes_are_those_of_the_errors():
    (rows,) = [rows for head, rows in tables(page("README")) if head[0] == "code"]
    documented = {int(row[0]) for row in rows}

    def below(kind):
        yield kind
        for one in kind.__subclasses__():
            yield from below(one)

    assert documented == {0, group.INTERRUPTED, *(kind.exit_code for kind in below(errors.FlightlogError))}


def test_environment_variables_are_documented():
    (rows,) = [rows for head, rows in tables(page("README")) if head[0] == "variable"]
    documented = {name for row in rows for name in CODE.findall(row[0])}
    folder = os.path.dirname(group.__file__)
    for name in os.listdir(folder):
        if name.endswith(".py"):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                used = set(re.findall(r'environ(?:\.get\(|\[)"([A-Z_]+)"', file.read()))
            assert used - {"FLIGHTLOG_DEBUG", "FLIGHTLOG_RUN"} <= documented, name
