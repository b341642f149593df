import configparser

print("last word", flush=True)
configparser.ConfigParser().read_string("[database\nhost = db1\n")
