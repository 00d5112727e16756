"""The client's surroundings under CPython: a disk, HTTP, locks and clocks, for the command line and for tests."""
