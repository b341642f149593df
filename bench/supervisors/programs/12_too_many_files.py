import resource

resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
print("last word", flush=True)
files = [open("/dev/null") for _ in range(50)]
