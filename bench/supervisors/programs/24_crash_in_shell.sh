# The shell lives on and says 139.
"$BENCH_PYTHON" -c '
import ctypes
print("last word", flush=True)
ctypes.string_at(0)'
exit $?
