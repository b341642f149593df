"""docs/reference/configuration.md, made of `keys` and the defaults: `make docs`, or `python -m flightlog.config.page [FILE]`.

Owns: the sentences around the tables. A test holds the committed page to what is made here.
"""

from __future__ import annotations

import sys

from .effective import default
from .keys import AGENT, COMMAND, KEYS, LIVE

HEAD = f"""# config.yml

<!-- made by `make docs` from src/flightlog/config/keys.py and page.py: change those -->

Which file: `FLIGHTLOG_CONFIG`; else `./config.yml` if it has a block `monitoring:`, `logging:` or `database:`, or the [printed line](../howto/switching-off.md) somewhere; else `$XDG_CONFIG_HOME/flightlog/config.yml` (`~/.config`); else `/etc/flightlog/config.yml`. Without any, the defaults apply.
Blocks of other names are left alone, and not looked into: one file may serve several programs. A block that occurs twice is merged key by key, the later one wins.

[`flightlog config`](cli/config.md) shows what holds and where it comes from, checks a file, and explains a key. How to switch flightlog off, for all pipelines or some: [switching off](../howto/switching-off.md).

## When something is wrong

`flightlog config check` names everything that is wrong in one go: file, line, key, value, reason and remedy. Whatever the file holds:

- A pipeline runs as it would without it: same output, same exit status. `flightlog run` and the SDK read no YAML; what concerns them is handed on by the agent, and by `flightlog run` when it begins.
- A running agent keeps the settings it had, and says what is wrong in its own log. One that begins takes the defaults, with the database of the environment; where the file was to name a database, nothing is shipped anywhere until it can be read: the spool holds it.
- Two things are obeyed all the same, by a scan of the raw text: the kill switch `monitoring.enabled`, and `monitoring.rollout` as far as that block itself can be understood. A rollout that is given and that nobody understands is the one of before, and where there was none, nobody is in.

## Units, and when a change counts

Sizes: `8MiB`, `64kB`, `2GiB`, or bytes. Durations: `500ms`, `10s`, `5m`, `1h`, `2d`, or seconds. True and false may be written `yes`, `no`, `on`, `off`.

| taken over | means |
|---|---|
| {LIVE} | within 5 seconds, usually one: in a running agent, in running pipelines, and in what begins |
| {AGENT} | when the agent is started again (`flightlog agent stop`, `flightlog agent start`, or its service) |
| {COMMAND} | by each `flightlog` command that begins |

All keys are known since 0.1.0.
"""

SECTIONS: dict[str, str] = {
    "database": "",
    "logging": "Where records go. The two destinations are independent: both, either or none. What is written and guaranteed is in [how to write text logs](../howto/file-logs.md).",
    "monitoring": "Which pipelines are monitored, and whether any is. `exclude` stands above `include`, `include` above `percent`; the rules are in [rollout](rollout.md).",
    "agent": "",
    "spool": "",
    "metrics": "",
    "hang": "A run is silent while no byte of its output is captured and none of its processes records anything; heartbeats and metrics do not count. [stacks](cli/stacks.md) says what is found out about one.",
}

TAIL = """## Environment

| variable | meaning |
|---|---|
| `FLIGHTLOG_CONFIG` | path of the config file |
| `FLIGHTLOG_HOME` | spool, settings' control pages, embedded server, logs; default `/var/lib/flightlog` for root, else `$XDG_STATE_HOME/flightlog` |
| `FLIGHTLOG_DSN` | stands above `database.dsn` |
| `FLIGHTLOG_DSN_FILE` | a file that holds it; stands above `database.dsn` and `database.dsn_file` |
| `FLIGHTLOG_SPOOL` | spool directory, in place of `FLIGHTLOG_HOME/spool/<uid>` |
| `FLIGHTLOG_NODE` | name of this node, in place of the host name |
| `TRACEPARENT` | the W3C trace that a run belongs to |
| `FLIGHTLOG_AGENT` | `never`, `always`, `auto`: whether `flightlog run` may start an agent |

Others that begin with `FLIGHTLOG_` (`FLIGHTLOG_RUN`, `FLIGHTLOG_SCOPE`, `FLIGHTLOG_RESUME` and so on) are how flightlog tells a child what it belongs to: hand them on, and set none.
"""


def page() -> str:
    """Return the whole page."""
    return "\n".join([HEAD, *[_section(name, words) for name, words in SECTIONS.items()], TAIL])


def _section(name: str, words: str) -> str:
    rows = ["| key | type | unit | bounds | default | taken over | meaning |", "|---|---|---|---|---|---|---|"]
    for key, known in KEYS.items():
        if key.partition(".")[0] == name:
            meaning = known.meaning + (f" `{known.variable}` stands above it." if known.variable else "")
            kind = known.kind
            usual = default(key)
            usual = f"`{usual}`" if " " not in usual and usual not in ("empty", "none") else usual
            cells = [f"`{key}`", kind.name, kind.unit, kind.bounds, usual, known.taken, meaning]
            rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    parts = [f"## {name}", words, "\n".join(rows), "```yaml\n" + example(name) + "```", ""]
    return "\n\n".join(part for part in parts if part) + "\n"


def example(name: str) -> str:
    """Return a block of the config file with each of its keys at the value of its example."""
    lines, before = [], [""]
    for key, known in KEYS.items():
        *blocks, last = key.split(".")
        if blocks[0] != name:
            continue
        same = 0
        while same < min(len(blocks), len(before)) and blocks[same] == before[same]:
            same += 1
        lines += [f"{'  ' * depth}{blocks[depth]}:" for depth in range(same, len(blocks))]
        note = "  # in place of dsn" if key == "database.dsn_file" else ""
        comment = "# " if note else ""
        lines.append(f"{'  ' * len(blocks)}{comment}{last}: {known.example}{note}")
        before = blocks
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the page to the file that is named, or to standard output."""
    if len(sys.argv) > 1:
        with open(sys.argv[1], "w", encoding="utf-8") as file:
            file.write(page())
    else:
        sys.stdout.write(page())


if __name__ == "__main__":
    main()
