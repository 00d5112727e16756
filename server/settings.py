"""The server's settings: the HOLDFAST_* environment, typed and checked once, at start.

Every refusal names the variable, the value and what was expected; secrets are never shown. A bound
is here where an operator may have a reason to move it, and a constant beside its user otherwise.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from protocol.limits import PACK_CHUNK_MAX_BYTES
from server.setting_kinds import (
    InvalidSettingError,
    Parse,
    one_of,
    parse_database_url,
    parse_host,
    parse_path,
    parse_text,
    parse_url,
    seconds,
    whole_number,
)
from server.storage.bucket_settings import BucketSettings

_MIB: Final = 1024 * 1024
_CORES_TO_SHARE: Final = 2
_BUCKET_DEFAULT: Final = "holdfast"
_WEB_DIR: Final = Path(__file__).parent.parent / "web" / "dist"


@dataclass(frozen=True, slots=True)
class Setting:
    """One variable: how its text is read, what it is without one, and a line for a person."""

    variable: str
    parse: Parse
    default: str
    help: str
    is_secret: bool = False


SETTINGS: Final = (
    Setting("HOLDFAST_HOST", parse_host, "localhost", "address to listen on; localhost is 127.0.0.1 and ::1"),
    Setting("HOLDFAST_PORT", whole_number(0, 65_535), "3000", "port to listen on; 0: any free one"),
    Setting("HOLDFAST_PUBLIC_URL", parse_url, "", "the page's one address; without it http://localhost:PORT"),
    Setting(
        "HOLDFAST_WORKERS",
        whole_number(0, 256),
        "0",
        "API processes; 0: one a core, one for two beside embedded stores",
    ),
    Setting(
        "HOLDFAST_SHARE_CORE",
        one_of("auto", "yes", "no"),
        "auto",
        "a worker and the database's processes for its flushes on one core; auto: beside an embedded one on two cores",
    ),
    Setting("HOLDFAST_DATA_DIR", parse_path, ".holdfast", "where the embedded PostgreSQL and S3 keep their data"),
    Setting(
        "HOLDFAST_DATABASE_URL", parse_database_url, "", "a PostgreSQL; without it an embedded one", is_secret=True
    ),
    Setting("HOLDFAST_S3_ENDPOINT", parse_url, "", "an S3 service, https://HOST[:PORT]; without it an embedded one"),
    Setting("HOLDFAST_S3_ACCESS_KEY", parse_text, "", "its access key", is_secret=True),
    Setting("HOLDFAST_S3_SECRET_KEY", parse_text, "", "its secret key", is_secret=True),
    Setting("HOLDFAST_S3_BUCKET", parse_text, _BUCKET_DEFAULT, "its bucket"),
    Setting("HOLDFAST_S3_REGION", parse_text, "us-east-1", "its region"),
    # At least one attempt to store (6 s) and a COMMIT with its settling (10 s) must fit.
    Setting("HOLDFAST_INGEST_TIMEOUT_S", seconds(16, 300), "20", "from a chunk's last byte to its answer"),
    Setting(
        "HOLDFAST_PACK_CHUNK_MAX_BYTES",
        whole_number(0, 1024 * 1024),
        str(PACK_CHUNK_MAX_BYTES),
        "chunks up to this size share objects; 0: an object a chunk",
    ),
    Setting("HOLDFAST_FLUSHES_IN_FLIGHT_MAX", whole_number(1, 64), "3", "packs that a worker stores at once"),
    Setting("HOLDFAST_PUTS_IN_FLIGHT_MAX", whole_number(1, 1_024), "16", "objects a worker stores at once"),
    Setting(
        "HOLDFAST_BYTES_WAITING_MAX",
        whole_number(16 * _MIB, 64 * 1024 * _MIB),
        str(128 * _MIB),
        "bytes of bodies that a worker holds in memory; past it 503",
    ),
    Setting("HOLDFAST_CHUNKS_WAITING_MAX", whole_number(1, 1_000_000), "4096", "bodies that it holds; past it 503"),
    Setting("HOLDFAST_DRAIN_S", seconds(0, 600), "25", "how long a stop waits for requests under way"),
    Setting("HOLDFAST_GRACE_S", seconds(60, 7 * 86_400), "900", "age below which an audit touches no object"),
    Setting("HOLDFAST_AUDIT_EVERY_S", seconds(0, 90 * 86_400), "3600", "from one audit's end to the next; 0: none"),
    Setting("HOLDFAST_SCRUB_EVERY_S", seconds(0, 365 * 86_400), "604800", "from one scrub's end to the next; 0: none"),
    Setting("HOLDFAST_COLLECT_EVERY_S", seconds(0, 90 * 86_400), "3600", "from one collect's end to the next; 0: none"),
    Setting(
        "HOLDFAST_SCRUB_BYTES_PER_S",
        whole_number(0, 1024 * _MIB),
        str(_MIB),
        "how fast it reads; 0: as fast as it goes",
    ),
    Setting(
        "HOLDFAST_COLLECT_BYTES_PER_S",
        whole_number(0, 1024 * _MIB),
        str(8 * _MIB),
        "how fast a collect reads and writes; 0: as fast as it goes",
    ),
    Setting(
        "HOLDFAST_STALLED_AFTER_S", seconds(60, 365 * 86_400), "86400", "silence after which a recording is stalled"
    ),
    Setting(
        "HOLDFAST_UNRECOVERABLE_AFTER_S",
        seconds(60, 365 * 86_400),
        "86400",
        "time after which lost chunks that nobody sent again are called unrecoverable",
    ),
    Setting("HOLDFAST_MEDIA_MAKERS", whole_number(0, 64), "1", "finished files that a machine makes at once; 0: none"),
    Setting("HOLDFAST_WEB_DIR", parse_path, str(_WEB_DIR), "the built page"),
    Setting("HOLDFAST_LOG_FORMAT", one_of("auto", "json", "human"), "auto", "auto: human on a terminal, else JSON"),
    Setting("HOLDFAST_LOG_LEVEL", one_of("debug", "info", "warning", "error"), "info", "the least level that is shown"),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. `database_url` and `bucket` are None where the embedded service is wanted."""

    host: str
    port: int
    public_url: str
    workers: int
    shares_core: bool
    data_dir: Path
    database_url: str | None = field(repr=False)
    bucket: BucketSettings | None
    ingest_timeout_s: float
    pack_chunk_max_bytes: int
    flushes_in_flight_max: int
    puts_in_flight_max: int
    bytes_waiting_max: int
    chunks_waiting_max: int
    drain_s: float
    grace_s: float
    audit_every_s: float
    scrub_every_s: float
    collect_every_s: float
    scrub_bytes_per_s: int
    collect_bytes_per_s: int
    stalled_after_s: float
    unrecoverable_after_s: float
    media_makers: int
    web_dir: Path
    log_format: str
    log_level: str

    @property
    def public_origin(self) -> str:
        """The page's scheme, host and port, in lower case."""
        split = urlsplit(self.public_url)
        return f"{split.scheme}://{split.netloc}".lower()


def read_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings in this environment. Raises `InvalidSettingError` with a line for each variable that is wrong."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for setting in SETTINGS:
        try:
            values[setting.variable] = _read_one(setting, environ)
        except InvalidSettingError as error:
            problems.append(str(error))
    if problems:
        raise InvalidSettingError("\n".join(problems))
    settings = Settings(
        host=values["HOLDFAST_HOST"],
        port=values["HOLDFAST_PORT"],
        public_url=values["HOLDFAST_PUBLIC_URL"] or f"http://localhost:{values['HOLDFAST_PORT']}",
        workers=values["HOLDFAST_WORKERS"] or _choose_workers(values),
        shares_core=_shares_core(values),
        data_dir=values["HOLDFAST_DATA_DIR"],
        database_url=values["HOLDFAST_DATABASE_URL"] or None,
        bucket=_read_bucket(values),
        ingest_timeout_s=values["HOLDFAST_INGEST_TIMEOUT_S"],
        pack_chunk_max_bytes=values["HOLDFAST_PACK_CHUNK_MAX_BYTES"],
        flushes_in_flight_max=values["HOLDFAST_FLUSHES_IN_FLIGHT_MAX"],
        puts_in_flight_max=values["HOLDFAST_PUTS_IN_FLIGHT_MAX"],
        bytes_waiting_max=values["HOLDFAST_BYTES_WAITING_MAX"],
        chunks_waiting_max=values["HOLDFAST_CHUNKS_WAITING_MAX"],
        drain_s=values["HOLDFAST_DRAIN_S"],
        grace_s=values["HOLDFAST_GRACE_S"],
        audit_every_s=values["HOLDFAST_AUDIT_EVERY_S"],
        scrub_every_s=values["HOLDFAST_SCRUB_EVERY_S"],
        collect_every_s=values["HOLDFAST_COLLECT_EVERY_S"],
        scrub_bytes_per_s=values["HOLDFAST_SCRUB_BYTES_PER_S"],
        collect_bytes_per_s=values["HOLDFAST_COLLECT_BYTES_PER_S"],
        stalled_after_s=values["HOLDFAST_STALLED_AFTER_S"],
        unrecoverable_after_s=values["HOLDFAST_UNRECOVERABLE_AFTER_S"],
        media_makers=values["HOLDFAST_MEDIA_MAKERS"],
        web_dir=values["HOLDFAST_WEB_DIR"],
        log_format=values["HOLDFAST_LOG_FORMAT"],
        log_level=values["HOLDFAST_LOG_LEVEL"],
    )
    _check_host(settings.host)
    _check_times(settings)
    return settings


def describe_settings(environ: Mapping[str, str] = os.environ) -> list[dict[str, str | bool]]:
    """Each setting as variable, value (a secret masked), whether it was given, and what it means."""
    return [
        {
            "variable": setting.variable,
            "value": _show(setting, environ.get(setting.variable) or setting.default),
            "is_given": bool(environ.get(setting.variable)),
            "help": setting.help,
        }
        for setting in SETTINGS
    ]


def _read_one(setting: Setting, environ: Mapping[str, str]) -> Any:
    text = environ.get(setting.variable) or setting.default
    if not text:
        return ""
    try:
        return setting.parse(text)
    except ValueError as error:
        raise InvalidSettingError(f"{setting.variable} is {_show(setting, text)!r}; expected {error}") from None


def _show(setting: Setting, text: str) -> str:
    return "********" if setting.is_secret and text else text


def _read_bucket(values: Mapping[str, Any]) -> BucketSettings | None:
    endpoint = values["HOLDFAST_S3_ENDPOINT"]
    keys = ("HOLDFAST_S3_ACCESS_KEY", "HOLDFAST_S3_SECRET_KEY")
    if not endpoint:
        for variable in keys:
            if values[variable]:
                raise InvalidSettingError(
                    f"{variable} is given and HOLDFAST_S3_ENDPOINT is not; expected both, or neither for an embedded S3"
                )
        return None
    for variable in keys:
        if not values[variable]:
            raise InvalidSettingError(f"{variable} is empty; expected the credentials of {endpoint}")
    split = urlsplit(endpoint)
    return BucketSettings(
        endpoint=split.netloc,
        access_key=values[keys[0]],
        secret_key=values[keys[1]],
        bucket=values["HOLDFAST_S3_BUCKET"],
        region=values["HOLDFAST_S3_REGION"],
        is_secure=split.scheme == "https",
    )


def _check_host(host: str) -> None:
    # Nothing authenticates callers yet (server/authorisation.py), so whoever reaches the port may do everything.
    if host != "localhost" and not _is_loopback(host):
        raise InvalidSettingError(
            f"HOLDFAST_HOST is {host!r}; expected localhost, 127.0.0.1 or ::1, because no authentication is "
            "configured: to serve others, put a reverse proxy that authenticates in front of it"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _check_times(settings: Settings) -> None:
    # An audit may adopt or doubt only what no chunk under way can still concern.
    if settings.grace_s < 2 * settings.ingest_timeout_s:
        raise InvalidSettingError(
            f"HOLDFAST_GRACE_S is {settings.grace_s:g}; expected at least twice HOLDFAST_INGEST_TIMEOUT_S "
            f"({settings.ingest_timeout_s:g}), so that an audit touches nothing that is still being stored"
        )


def _choose_workers(values: dict[str, Any]) -> int:
    """One a core; with bucket and database on the same cores, one for every two: they need the others."""
    cores = _count_cores()
    has_given_stores = values["HOLDFAST_DATABASE_URL"] and values["HOLDFAST_S3_ENDPOINT"]
    return cores if has_given_stores else max(1, cores // 2)


def _shares_core(values: dict[str, Any]) -> bool:
    """By itself only where it was measured."""
    if values["HOLDFAST_SHARE_CORE"] == "auto":
        return not values["HOLDFAST_DATABASE_URL"] and _count_cores() == _CORES_TO_SHARE
    return bool(values["HOLDFAST_SHARE_CORE"] == "yes")


def _count_cores() -> int:
    return len(os.sched_getaffinity(0))
