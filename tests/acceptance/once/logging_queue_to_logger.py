"""The cookbook's way with processes: children put records into a queue, the parent hands them to its loggers."""

import logging
import logging.handlers
import multiprocessing


def work(lines, name):
    root = logging.getLogger()
    root.handlers[:] = [logging.handlers.QueueHandler(lines)]
    root.setLevel(20)
    root.info("from %s", name)
    lines.put(None)


if __name__ == "__main__":
    logging.basicConfig(level=20)
    for name in ("fork", "spawn"):
        context = multiprocessing.get_context(name)
        lines = context.Queue()
        child = context.Process(target=work, args=(lines, name))
        child.start()
        while True:
            record = lines.get(timeout=60)
            if record is None:
                break
            logging.getLogger(record.name).handle(record)
        child.join()
