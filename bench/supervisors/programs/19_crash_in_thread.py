# A C function called without the GIL in one of four threads writes where nothing is; the others work on.
import ctypes
import threading
import time

print("last word", flush=True)
for _ in range(3):
    threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
threading.Thread(target=ctypes.CDLL(None).memset, args=(ctypes.c_void_p(16), 0, ctypes.c_size_t(64))).start()
time.sleep(30)
