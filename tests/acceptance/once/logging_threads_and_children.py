import logging
import subprocess
import threading

SH = 'i=0; while [ $i -lt 200 ]; do echo "child %d $i" >&2; i=$((i+1)); done'
logging.basicConfig(level="INFO")


def work(number):
    for i in range(200):
        logging.info("thread %d line %d %s", number, i, "x" * (i % 90))
    print("print from", number)


threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
children = [subprocess.Popen(["sh", "-c", SH % number]) for number in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for child in children:
    child.wait()
