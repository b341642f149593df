import threading

print("last word", flush=True)
worker = threading.Thread(target=lambda: {}["customer"])
worker.start()
worker.join()
