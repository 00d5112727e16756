"""Fakes of the ports in client_py/ports.py, for tests and the simulator; they never reach the page."""
