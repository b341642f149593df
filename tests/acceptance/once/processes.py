import logging
import multiprocessing
import os

logging.basicConfig(level="INFO")


def work(name):
    logging.basicConfig(level="INFO")
    logging.info("worker %s", name)


if __name__ == "__main__":
    for name in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(name)
        children = [context.Process(target=work, args=(f"{name} {i}",)) for i in range(2)]
        for child in children:
            child.start()
        for child in children:
            child.join()
    pid = os.fork()
    if pid == 0:
        logging.info("in a bare fork")
        os._exit(0)
    os.waitpid(pid, 0)
    logging.info("main")
