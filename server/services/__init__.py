"""The embedded services' processes, folders, ports and users: what `server/embedded.py` is made of."""
