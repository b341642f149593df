import threading

first, second = threading.Lock(), threading.Lock()
met = threading.Barrier(2)


def move(one, other):
    with one:
        met.wait()
        with other:
            pass


print("last word", flush=True)
threads = [threading.Thread(target=move, args=pair) for pair in ((first, second), (second, first))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
