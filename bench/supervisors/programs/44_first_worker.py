# One of four workers fails; the others die of it, in the end their parent. The first is the cause.
import multiprocessing
import os
import sys
import time


def load(part):
    if part == 2:
        raise ValueError("bad row")
    while os.path.exists("/"):
        time.sleep(0.05)


if __name__ == "__main__":
    print("last word", flush=True)
    workers = [multiprocessing.get_context("fork").Process(target=load, args=(part,)) for part in range(4)]
    for worker in workers:
        worker.start()
    workers[2].join()
    for worker in workers:
        worker.terminate()
        worker.join()
    sys.exit(1)
