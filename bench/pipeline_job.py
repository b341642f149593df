"""A pipeline as there are many: a CSV of a million rows, three stages, progress by row, a checkpoint each 10,000 rows, a log file of its own.

`python pipeline_job.py FOLDER ROWS EVERY`: logs a line each EVERY rows. As it runs today it keeps its own progress and checkpoint file. Under `flightlog run`
(FLIGHTLOG_RUN is set) flightlog's stages, progress and checkpoints stand in their place, and its own FileHandler goes on. JOB_ADDS names what is added instead:
`otel`, `loguru`, `structlog`: each line goes there as well; `write`: nothing but one write(2) of 230 bytes.
"""

import csv
import hashlib
import json
import logging
import os
import re
import sys
import time
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

CHECKPOINT_EVERY = 10_000
TAX, CENT = Decimal("0.19"), Decimal("0.01")
NAME, AMOUNT = re.compile(r"[\w .'-]{1,80}"), re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,2})?")


def adds(name, folder):
    """Have what is logged go to *name* as well; return what each line is also given to, or None."""
    if name == "otel":
        from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
        from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, ConsoleLogExporter

        provider = LoggerProvider()
        out = open(os.path.join(folder, "otel.log"), "w")
        provider.add_log_record_processor(BatchLogRecordProcessor(ConsoleLogExporter(out=out)))
        logging.getLogger().addHandler(LoggingHandler(logger_provider=provider))
    elif name == "loguru":
        from loguru import logger

        logger.remove()
        logger.add(os.path.join(folder, "loguru.log"))
        return lambda row, total: logger.info("row {} total {}", row, total)  # noqa: PLE1205  loguru formats with braces
    elif name == "structlog":
        import structlog

        structlog.configure(
            processors=[structlog.processors.TimeStamper(fmt="iso"), structlog.processors.JSONRenderer()],
            logger_factory=structlog.WriteLoggerFactory(open(os.path.join(folder, "structlog.log"), "w")),
            cache_logger_on_first_use=True,
        )
        logger = structlog.get_logger()
        return lambda row, total: logger.info("row", row=row, total=total)
    elif name == "write":
        fd = os.open(os.path.join(folder, "write.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        line = b"x" * 229 + b"\n"
        return lambda row, total: os.write(fd, line)
    return None


def transform(row):
    """What is done to a row: checked, converted, a key, tax, the quarter, a score, its JSON; some ten to thirty microseconds, as loading jobs take them."""
    number, name, amount, day = row
    value, when, name = Decimal(amount), date.fromisoformat(day), name.strip().lower()
    if value < 0 or not NAME.fullmatch(name) or not AMOUNT.fullmatch(amount):
        raise ValueError(row)
    key = hashlib.sha256(f"{number}|{name}".encode()).hexdigest()[:16]
    tax = (value * TAX).quantize(CENT, ROUND_HALF_UP)
    score = 0.0
    for step in range(40):
        score += (step + when.month) * 0.5
    made = {
        "number": int(number),
        "key": key,
        "name": name,
        "gross": float(value + tax),
        "quarter": f"{when.year}Q{(when.month + 2) // 3}",
        "week": when.isocalendar()[1],
        "score": round(score, 3),
    }
    document = json.dumps(made, sort_keys=True)
    return made["number"], key, made["gross"], made["quarter"], hashlib.sha256(document.encode()).hexdigest()


def plain_track(rows, total):
    """Progress as people write it."""
    told = time.monotonic()
    for done, row in enumerate(rows):
        if not done & 1023 and time.monotonic() - told > 1.0:
            told = time.monotonic()
            sys.stderr.write(f"\r{done} of {total}")
        yield row


def plain_checkpoint(path, value):
    """A checkpoint as people write it, and as sure as ours."""
    with open(path + ".new", "w") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    os.rename(path + ".new", path)


def work(folder, total, every, track, checkpoint, stage):
    """The three stages."""
    log = logging.getLogger("orders")
    also = adds(os.environ.get("JOB_ADDS", ""), folder)
    with stage("extract"):
        source = open(os.path.join(folder, "orders.csv"), newline="")
        rows = csv.reader(source)
        next(rows)
        log.info("reading %s", source.name)
    amount = 0.0
    target = open(os.path.join(folder, "out.csv"), "w", newline="")
    with stage("transform", total) as inside:
        writer = csv.writer(target)
        for done, row in enumerate(track(inside, rows, total), 1):
            made = transform(row)
            amount += made[2]
            writer.writerow(made)
            if not done % every:
                log.info("row %d, total %.2f", done, amount)
                if also is not None:
                    also(done, amount)
            if not done % CHECKPOINT_EVERY:
                checkpoint({"done": done, "amount": amount})
    with stage("load"):
        target.close()
        log.info("written %d bytes", os.path.getsize(target.name))


class Nothing:
    """A stage of a program that has none."""

    def __init__(self, name, total=None):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        return False


def main(folder, total, every):
    """Run it the one way or the other."""
    handler = logging.FileHandler(os.path.join(folder, "orders.log"), mode="w")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(process)d %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    if os.environ.get("FLIGHTLOG_RUN"):
        import flightlog

        with flightlog.run("orders") as run:
            work(
                folder,
                total,
                every,
                lambda stage, rows, count: stage.track(rows),
                lambda value: run.checkpoint("position", value),
                run.stage,
            )
    else:
        path = os.path.join(folder, "checkpoint.json")
        work(
            folder,
            total,
            every,
            lambda stage, rows, count: plain_track(rows, count),
            lambda value: plain_checkpoint(path, value),
            Nothing,
        )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
