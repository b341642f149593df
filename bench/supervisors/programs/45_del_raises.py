class Connection:
    def __del__(self):
        raise OSError("rows not written")


print("last word", flush=True)
Connection()
