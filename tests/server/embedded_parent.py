"""A server process for the tests of the embedded services: starts them, tells where they are, waits to be killed.

`python -m tests.server.embedded_parent DATA_DIR` prints one line of JSON when the services are ready; a line on its
standard input makes it stop them and end.
"""

import json
import sys
from dataclasses import asdict

from server.embedded import EmbeddedServices
from server.services.errors import EmbeddedServiceError


def main() -> None:
    try:
        with EmbeddedServices(sys.argv[1], on_progress=lambda text: print(text, file=sys.stderr)) as services:
            told = {"database_url": services.database_url, "bucket": asdict(services.bucket), "pids": services.pids}
            print(json.dumps(told), flush=True)
            sys.stdin.readline()
    except EmbeddedServiceError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
