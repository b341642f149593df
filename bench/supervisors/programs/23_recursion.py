def parents(row):
    return [row, *parents(row)]


print("last word", flush=True)
parents(1)
