# Python ignores SIGXFSZ: it gets EFBIG.
echo last word
ulimit -f 1
exec "$BENCH_PYTHON" -c '
import os, tempfile
with tempfile.TemporaryFile() as file: file.write(b"x" * 10**6)'
