def load(row):
    return row["customer"]


print("last word", flush=True)
load({})
