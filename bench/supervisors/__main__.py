"""`python -m bench.supervisors RECORD`: make the section of a run's record again, and write it into bench/RESULTS.md (--dry-run: print it only)."""

import argparse
import datetime
import sys

from .. import results
from . import TITLE, record, score


def main():
    parser = argparse.ArgumentParser(prog="python -m bench.supervisors", description=__doc__)
    parser.add_argument("record", nargs="?", default=record.PATH)
    parser.add_argument("--dry-run", action="store_true", help="print, leave bench/RESULTS.md alone")
    parser.add_argument("--unfinished", action="store_true", help="also what is not a whole run; the section says so")
    options = parser.parse_args()
    facts = record.read(options.record)
    section = score.section(facts)
    if options.dry_run:
        print(section)
        return 0
    if not facts["whole"] and not options.unfinished:
        parser.error("that run was not a whole one (--unfinished writes it all the same)")
    results.write("supervisors", TITLE, section, datetime.datetime.fromisoformat(facts["when"]), facts["machine"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
