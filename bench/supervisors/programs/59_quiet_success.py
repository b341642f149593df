# Six good nights with 200 rows each; then the source is empty, and it says that all is well.
import os

rows = 200 if os.environ.get("BENCH_WARM") else 0
for row in range(rows):
    print("row", row)
print("last word")
