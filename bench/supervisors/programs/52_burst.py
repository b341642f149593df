import os

line = b"x" * 99 + b"\n"
for _ in range(4000):
    os.write(1, line)
os.write(1, b"last word\n")
os._exit(7)
