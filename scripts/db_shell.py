"""`make db-shell`: pgcli on HOLDFAST_DATABASE_URL, else on the embedded PostgreSQL of the server that is running."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from loadtest.embedded_stores import StoresUnknownError, find_database_url


def main() -> int:
    """Run pgcli to its end, or say what is missing."""
    url = os.environ.get("HOLDFAST_DATABASE_URL")
    if not url:
        data_dir = Path(os.environ.get("HOLDFAST_DATA_DIR") or ".holdfast")
        try:
            url = find_database_url(data_dir)
        except StoresUnknownError as error:
            print(error, file=sys.stderr)
            return 1
        print("db-shell: the embedded database answers only while `make run` or `make dev` runs", flush=True)
    split = urlsplit(url)
    # The password goes by environment: everybody on the machine can read a command line.
    environment = {**os.environ, "PGPASSWORD": unquote(split.password or "")} if split.password else dict(os.environ)
    without = split._replace(netloc=split.netloc.replace(f":{split.password}@", "@", 1)).geturl()
    pgcli = Path(sys.executable).parent / "pgcli"
    return subprocess.run([pgcli, without], env=environment, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
