import multiprocessing
import sys
import threading

from loguru import logger


def work(name):
    logger.info("from a {}", name)


def work_spawned(theirs, name):
    theirs.info("from a {}", name)
    theirs.complete()


if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    logger.remove()
    logger.add(sys.stderr, enqueue=True, context=context, format="{message}")
    for i in range(30):
        logger.info("e {}", i)
    thread = threading.Thread(target=work, args=("thread",))
    thread.start()
    thread.join()
    spawned = context.Process(target=work_spawned, args=(logger, "spawned process"))
    spawned.start()
    spawned.join()
    logger.complete()
    print("p")
