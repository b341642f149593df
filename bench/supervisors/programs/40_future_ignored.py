# Nobody asks for the result: exit 0, and not a word on standard error.
from concurrent.futures import ThreadPoolExecutor

print("last word", flush=True)
with ThreadPoolExecutor() as pool:
    pool.submit(int, "seven")
