import ctypes

print("last word", flush=True)
ctypes.string_at(0)
