import argparse

print("last word", flush=True)
parser = argparse.ArgumentParser()
parser.add_argument("table")
parser.parse_args()
