"""The real command line, `holdfast …`, whose calls of bucket and ledger can stand still (halting.py)."""

import sys
from typing import Final

from server import cli, worker_pool
from tests.stack.halting import install

MODULE: Final = "tests.stack.halting_cli"

if __name__ == "__main__":
    install()
    worker_pool.WORKER_MODULE = "tests.stack.halting_worker"
    sys.exit(cli.main())
