import atexit

print("last word", flush=True)
atexit.register(int, "seven")
