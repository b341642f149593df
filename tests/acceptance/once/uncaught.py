import logging
import sys
import threading


def broken():
    raise KeyError("in a thread")


logging.basicConfig()
print("p")
sys.stdout.flush()
thread = threading.Thread(target=broken)
thread.start()
thread.join()
raise ValueError("dead")
