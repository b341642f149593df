"""`python -m bench [NAME...]`: run the named benchmarks (default: all), print each and write it into bench/RESULTS.md."""

import argparse
import importlib
import sys

from . import SECTIONS, results


def main():
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(SECTIONS)}")
    parser.add_argument("--dry-run", action="store_true", help="print, leave bench/RESULTS.md alone")
    options = parser.parse_args()
    unknown = set(options.names) - set(SECTIONS)
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    for name in options.names or SECTIONS:
        try:
            module = importlib.import_module(f"bench.{name}")
        except ModuleNotFoundError as problem:
            if problem.name != f"bench.{name}":
                raise
            print(f"{name}: not written yet", file=sys.stderr)
            continue
        body = module.run()
        if body is None:
            print(f"{name}: nothing measured", file=sys.stderr)
            continue
        print(f"## {module.TITLE}\n\n{body}\n", flush=True)
        if not options.dry_run:
            results.write(name, module.TITLE, body)
    return 0


if __name__ == "__main__":
    sys.exit(main())
