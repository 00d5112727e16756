"""A real API process whose calls of bucket and ledger can stand still (halting.py)."""

import sys

from server import worker_process
from tests.stack.halting import install

if __name__ == "__main__":
    install()
    sys.exit(worker_process.main())
