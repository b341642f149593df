"""`python -m flightlog` and the `flightlog` command: the command line needs Python 3.11, the SDK does not.

Owns: the check that a command line can run here at all, and what to say when it cannot. Leaves everything else to `cli`.
"""

from __future__ import annotations

import sys

OLDEST = (3, 11)


def main() -> None:
    """Run the command line; exits the process (2 when this Python or installation has none)."""
    if sys.version_info < OLDEST:
        sys.stderr.write(
            "Error: the flightlog command needs Python 3.11 or newer; this is %d.%d\n" % sys.version_info[:2]
        )
        sys.stderr.write("Try: a newer Python for the command; pipelines may stay on 3.8 or newer\n")
        sys.exit(2)
    try:
        import click  # noqa: F401
    except ImportError:
        sys.stderr.write("Error: the flightlog command needs the package click\nTry: pip install 'flightlog[server]'\n")
        sys.exit(2)
    from .cli import group

    group.main(prog_name="flightlog")


if __name__ == "__main__":
    main()
