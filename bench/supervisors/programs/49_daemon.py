# The classic daemon: two forks and a session of its own; whoever started it sees exit 0.
import os
import time

print("last word", flush=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(60)
    os._exit(0)
