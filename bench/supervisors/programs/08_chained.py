def read():
    try:
        return {}["a"]
    except KeyError as problem:
        raise LookupError("row 7") from problem


print("last word", flush=True)
try:
    read()
except LookupError as problem:
    raise RuntimeError("load failed") from problem
