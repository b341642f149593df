import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

if __name__ == "__main__":
    print("last word", flush=True)
    with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as pool:
        print(pool.submit(os._exit, 3).result())
