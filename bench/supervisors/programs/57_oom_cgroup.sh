mkdir -p "$BENCH_CGROUP"
echo 60000000 > "$BENCH_CGROUP/memory.limit_in_bytes"
echo $$ > "$BENCH_CGROUP/cgroup.procs"
echo last word
exec "$BENCH_PYTHON" -c 'rows = [bytearray(10**6) for n in range(400)]'
