"""The embedded services with real processes: killed in every way, started again, nothing lost, nothing left running."""

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psycopg
import pytest

from server.embedded import EmbeddedServices, ServiceExit
from server.services.data_directory import DataDirectory
from server.services.errors import DataDirectoryBusyError, EmbeddedServiceError, ServiceStartError
from server.storage.bucket_settings import BucketSettings
from server.storage.migrations import apply_migrations
from server.storage.minio_blob_store import MinioBlobStore
from server.storage.postgres_ledger import PostgresLedger
from tests.contracts.ledger_values import object_of, recording_id_of, register, store
from tests.integration.processes import command_of, is_alive, wait_until

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def started_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory after its first start and a proper stop."""
    directory = tmp_path_factory.mktemp("started-once") / "data"
    with quiet(directory):
        pass
    return directory


@pytest.fixture
def data_dir(started_once: Path, tmp_path: Path) -> Path:
    """A copy of it for each test, which saves making a cluster each time."""
    subprocess.run(["cp", "-a", started_once, tmp_path / "data"], check=True)
    return tmp_path / "data"


@pytest.fixture
def new_dir(tmp_path: Path) -> Path:
    """A data directory that is not there yet."""
    return tmp_path / "new"


@dataclass
class Parent:
    """The process that runs the services, and what it told about them."""

    process: subprocess.Popen[str]
    database_url: str
    bucket: BucketSettings
    pids: dict[str, int]


@contextmanager
def parent_on(data_dir: Path) -> Iterator[Parent]:
    """A server process on the data directory; stopped properly at the end unless it was killed."""
    process = start_parent(data_dir)
    line = out_of(process).readline()
    assert line, f"the services did not start: {err_of(process).read()}"
    told = json.loads(line)
    try:
        yield Parent(process, told["database_url"], BucketSettings(**told["bucket"]), told["pids"])
    finally:
        process.communicate("\n", timeout=60)


def start_parent(data_dir: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.server.embedded_parent", str(data_dir)],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def out_of(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


def err_of(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stderr is not None
    return process.stderr


async def write_something(database_url: str, bucket: BucketSettings, number: int) -> None:
    """An object in the bucket and its rows in the ledger."""
    blobs = MinioBlobStore(bucket, threads=1)
    ledger = await PostgresLedger.open(database_url, pool_size=1)
    try:
        await blobs.put(object_of(number).key, f"body {number}".encode())
        await register(ledger, number)
        await store(ledger, 3, recording=number, object_number=number)
    finally:
        await ledger.close()
        await blobs.close()


async def assert_everything_is_there(database_url: str, bucket: BucketSettings, numbers: range) -> None:
    blobs = MinioBlobStore(bucket, threads=1)
    ledger = await PostgresLedger.open(database_url, pool_size=1)
    try:
        for number in numbers:
            assert await blobs.get(object_of(number).key) == f"body {number}".encode()
            assert set(await ledger.find_chunks(recording_id_of(number), range(5))) == {0, 1, 2}
    finally:
        await ledger.close()
        await blobs.close()


def processes_on(data_dir: Path) -> list[int]:
    """Every process whose command line names the data directory, but this one's children that run the tests' parent."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            command = command_of(int(entry.name))
            if str(data_dir) in command and "embedded_parent" not in command:
                found.append(int(entry.name))
    return found


def quiet(data_dir: Path, **wants: bool) -> EmbeddedServices:
    return EmbeddedServices(data_dir, on_progress=lambda _: None, **wants)


async def test_a_second_start_has_everything_and_the_same_addresses(data_dir: Path) -> None:
    with quiet(data_dir) as services:
        first = (services.database_url, services.bucket)
        apply_migrations(services.database_url)
        await write_something(*first, 1)
    assert processes_on(data_dir) == []
    with quiet(data_dir) as services:
        assert (services.database_url, services.bucket) == first
        await assert_everything_is_there(*first, range(1, 2))
        assert services.poll() == []


async def test_the_killed_server_leaves_no_process_and_loses_nothing(data_dir: Path) -> None:
    with parent_on(data_dir) as parent:
        apply_migrations(parent.database_url)
        for number in range(1, 6):
            await write_something(parent.database_url, parent.bucket, number)
        parent.process.kill()
        parent.process.wait()
        wait_until(lambda: processes_on(data_dir) == [], "the end of every service, without another start")
    with parent_on(data_dir) as again:
        for pid in parent.pids.values():
            assert not is_alive(pid)
        await assert_everything_is_there(again.database_url, again.bucket, range(1, 6))
    assert processes_on(data_dir) == []


async def test_a_service_that_survived_its_server_is_ended_at_the_next_start(data_dir: Path) -> None:
    """As where no kernel tells children of their parent's death; here it is stopped, so the news does not reach it."""
    with parent_on(data_dir) as parent:
        apply_migrations(parent.database_url)
        await write_something(parent.database_url, parent.bucket, 1)
        leftover = parent.pids["postgres"]
        os.kill(leftover, signal.SIGSTOP)
        parent.process.kill()
        parent.process.wait()
        assert is_alive(leftover)
    with parent_on(data_dir) as again:
        assert not is_alive(leftover)
        await assert_everything_is_there(again.database_url, again.bucket, range(1, 2))


@pytest.mark.parametrize("name", ["postgres", "seaweedfs"])
async def test_a_killed_service_is_told_by_poll_and_starts_again_at_the_same_address(data_dir: Path, name: str) -> None:
    with quiet(data_dir) as services:
        address = (services.database_url, services.bucket)
        apply_migrations(services.database_url)
        await write_something(*address, 1)
        os.kill(services.pids[name], signal.SIGKILL)
        wait_until(lambda: services.poll() != [], "the news of the service's end")
        assert services.poll() == [ServiceExit(name, -signal.SIGKILL)]
        services.restart(name)
        assert services.poll() == []
        assert (services.database_url, services.bucket) == address
        await assert_everything_is_there(*address, range(1, 2))
        await write_something(*address, 2)


async def test_all_killed_at_once_and_the_next_start_has_everything(data_dir: Path) -> None:
    with parent_on(data_dir) as parent:
        apply_migrations(parent.database_url)
        await write_something(parent.database_url, parent.bucket, 1)
        for pid in (*parent.pids.values(), parent.process.pid):
            os.kill(pid, signal.SIGKILL)
        parent.process.wait()
    with parent_on(data_dir) as again:
        await assert_everything_is_there(again.database_url, again.bucket, range(1, 2))


def test_a_second_server_is_refused_and_told_the_pid_of_the_first(data_dir: Path) -> None:
    with parent_on(data_dir) as parent:
        with pytest.raises(DataDirectoryBusyError, match=rf"pid {parent.process.pid}\).*HOLDFAST_DATA_DIR") as caught:
            quiet(data_dir).start()
        assert caught.value.pid == parent.process.pid
        second = start_parent(data_dir)
        _, told = second.communicate(timeout=60)
        assert second.returncode == 1 and f"pid {parent.process.pid}" in told
        assert all(is_alive(pid) for pid in parent.pids.values()), "the first goes on"
        with psycopg.connect(parent.database_url) as connection:
            assert connection.execute("select 1").fetchone() == (1,)


def test_a_port_that_somebody_took_meanwhile_is_chosen_anew(data_dir: Path) -> None:
    with quiet(data_dir, wants_bucket=False) as services:
        first = services.database_url
    port = int(first.rsplit(":", 1)[1].split("/")[0])
    with socket.create_server(("127.0.0.1", port)), quiet(data_dir, wants_bucket=False) as services:
        assert services.database_url != first
        with psycopg.connect(services.database_url) as connection:
            assert connection.execute("select 1").fetchone() == (1,)


def test_a_stranger_with_an_old_pid_is_not_ended_and_does_not_stop_the_start(data_dir: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as stranger:
        (data_dir / "run" / "postgres.pid").write_text(str(stranger.pid))
        (data_dir / "run" / "seaweedfs.pid").write_text(str(stranger.pid))
        (data_dir / "postgres" / "postmaster.pid").write_text(f"{stranger.pid}\n{data_dir / 'postgres'}\n1\n")
        try:
            with quiet(data_dir, wants_bucket=False) as services, psycopg.connect(services.database_url) as connection:
                assert connection.execute("select 1").fetchone() == (1,)
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_half_a_cluster_is_made_again(new_dir: Path) -> None:
    """As when the machine goes off while the first start makes the cluster."""
    half = new_dir / "postgres.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with quiet(new_dir, wants_bucket=False) as services, psycopg.connect(services.database_url) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    assert not half.exists()


def test_secrets_are_random_and_readable_by_their_owner_alone(new_dir: Path) -> None:
    directory = DataDirectory(new_dir)
    directory.lock()
    made = directory.load_credentials()
    assert directory.load_credentials() == made
    directory.unlock()
    assert stat.S_IMODE((new_dir / "credentials.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(new_dir.stat().st_mode) == 0o700
    other = DataDirectory(new_dir.with_name("other"))
    other.lock()
    assert other.load_credentials().secret_key != made.secret_key
    other.unlock()


def test_without_credentials_nobody_gets_in(embedded_database: EmbeddedServices) -> None:
    address = embedded_database.database_url.split("@")[1]
    for user in ("postgres", "holdfast"):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(f"postgresql://{user}:wrong@{address}")


def test_a_login_costs_one_round_because_the_passwords_are_random(embedded_database: EmbeddedServices) -> None:
    with psycopg.connect(embedded_database.superuser_url) as connection:
        logins = connection.execute("select rolname, rolpassword from pg_authid where rolcanlogin").fetchall()
    assert {name: verifier.split(":")[0] for name, verifier in logins} == dict.fromkeys(
        ("postgres", "holdfast"), "SCRAM-SHA-256$1"
    )


def test_both_flush_before_they_acknowledge(embedded_database: EmbeddedServices) -> None:
    with psycopg.connect(embedded_database.superuser_url) as connection:
        settings = connection.execute(
            "select current_setting('fsync'), current_setting('full_page_writes'), "
            "current_setting('synchronous_commit')"
        ).fetchone()
    assert settings == ("on", "on", "on")


def test_a_bucket_store_that_does_not_take_the_fsync_setting_is_not_used(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.services.seaweedfs_service.SeaweedfsService._run_shell", lambda *_: '{"locations": []}')
    with pytest.raises(ServiceStartError, match="durable"):
        quiet(data_dir, wants_database=False).start()
    assert processes_on(data_dir) == []


def test_everything_listens_on_loopback_only(data_dir: Path) -> None:
    with quiet(data_dir) as services:
        ports = json.loads((data_dir / "ports.json").read_text())
        listening = subprocess.run(["ss", "-Hltn"], capture_output=True, text=True, check=True).stdout.split("\n")
        addresses = {line.split()[3] for line in listening if line}
        for port in ports.values():
            assert {address for address in addresses if address.endswith(f":{port}")} == {f"127.0.0.1:{port}"}
        assert services.poll() == []


def test_a_service_that_cannot_start_is_told_with_its_log_and_leaves_the_lock_free(data_dir: Path) -> None:
    shutil.rmtree(data_dir / "postgres" / "global")
    with pytest.raises(ServiceStartError, match=r"(?s)postgres ended with code .*log.*global"):
        quiet(data_dir, wants_bucket=False).start()
    assert processes_on(data_dir) == []
    again = DataDirectory(data_dir)
    again.lock()
    again.unlock()


def test_a_data_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EmbeddedServiceError, match="HOLDFAST_DATA_DIR"):
        quiet(tmp_path / "file").start()


def test_damaged_credentials_are_told_and_not_replaced(new_dir: Path) -> None:
    new_dir.mkdir()
    (new_dir / "credentials.json").write_text("{")
    with pytest.raises(EmbeddedServiceError, match="restore it"):
        quiet(new_dir).start()
    assert (new_dir / "credentials.json").read_text() == "{"


def test_only_what_is_wanted_starts(new_dir: Path) -> None:
    with quiet(new_dir, wants_database=False) as services:
        assert set(services.pids) == {"seaweedfs"}
        with pytest.raises(RuntimeError, match="not running"):
            _ = services.database_url
    assert not (new_dir / "postgres").exists()


def test_a_start_from_another_thread_is_refused_before_anything_runs(new_dir: Path) -> None:
    caught: list[BaseException] = []

    def start() -> None:
        try:
            quiet(new_dir, wants_database=False).start()
        except RuntimeError as error:
            caught.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert len(caught) == 1 and "main thread" in str(caught[0])
    assert processes_on(new_dir) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root meets folders that other users may not pass")
def test_root_needs_no_folder_that_other_users_may_pass(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with quiet(closed / "data", wants_bucket=False) as services:
        pid = services.pids["postgres"]
        assert Path(f"/proc/{pid}").stat().st_uid != 0
        with psycopg.connect(services.database_url) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700, "nobody opened a folder that is not ours"
