import time

print("last word", flush=True)
time.sleep(60)
