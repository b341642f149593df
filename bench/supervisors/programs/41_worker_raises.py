import multiprocessing


def load():
    raise ValueError("bad row")


if __name__ == "__main__":
    print("last word", flush=True)
    worker = multiprocessing.get_context("fork").Process(target=load)
    worker.start()
    worker.join()
