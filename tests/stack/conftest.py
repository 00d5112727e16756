"""The real servers that these tests kill pieces of; `HOLDFAST_STACK_KILLS=1` (`make stack-kills`) runs every cell."""

import os
from collections.abc import Iterator

import pytest

from tests.contracts.minio_process import MinioProcess, find_minio
from tests.integration.server_process import ServerProcess
from tests.stack.halting_cli import MODULE
from tests.stack.ingest_kills import Stack
from tests.stack.standing_still import StandingStill

IS_WHOLE = os.environ.get("HOLDFAST_STACK_KILLS") == "1"
# Nothing of its own accord: what an audit finds is what the test's own audit finds.
CALM = {
    "HOLDFAST_AUDIT_EVERY_S": "0",
    "HOLDFAST_SCRUB_EVERY_S": "0",
    "HOLDFAST_COLLECT_EVERY_S": "0",
    "HOLDFAST_MEDIA_MAKERS": "0",
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A server with embedded PostgreSQL and SeaweedFS."""
    folder = tmp_path_factory.mktemp("stack")
    still = StandingStill(folder)
    with ServerProcess(folder / "data", environ=CALM | still.environ, module=MODULE) as server:
        made = Stack(server, still)
        made.delete_a_recording()
        yield made
        still.withdraw()


@pytest.fixture(scope="module")
def stack_on_minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A server with an embedded PostgreSQL and a given MinIO."""
    folder = tmp_path_factory.mktemp("stack-on-minio")
    still = StandingStill(folder)
    with MinioProcess(find_minio(), folder) as minio:
        given = {
            "HOLDFAST_S3_ENDPOINT": f"http://{minio.settings.endpoint}",
            "HOLDFAST_S3_ACCESS_KEY": minio.settings.access_key,
            "HOLDFAST_S3_SECRET_KEY": minio.settings.secret_key,
            "HOLDFAST_S3_BUCKET": minio.settings.bucket,
        }
        with ServerProcess(folder / "data", environ=CALM | still.environ | given, module=MODULE) as server:
            made = Stack(server, still, minio)
            made.delete_a_recording()
            yield made
            still.withdraw()
