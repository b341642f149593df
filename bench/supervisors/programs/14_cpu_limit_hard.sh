# Who ignores SIGXCPU gets SIGKILL at the hard limit.
echo last word
ulimit -t 1
trap "" XCPU
exec "$BENCH_PYTHON" -c '
while True: pass'
