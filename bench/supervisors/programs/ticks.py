import itertools
import time

for number in itertools.count():
    print("tick", number, flush=True)
    time.sleep(0.2)
