ulimit -v 400000
exec "$BENCH_PYTHON" -c '
print("last word", flush=True)
rows = bytearray(10**9)'
