"""The settings: what is read, and the sentence that stops a start."""

import re
from pathlib import Path

import pytest

from server.setting_kinds import InvalidSettingError
from server.settings import SETTINGS, describe_settings, read_settings
from server.storage.postgres_connection import COMMIT_S, SETTLE_S
from server.storage.s3_client import PUT_S

S3 = {
    "HOLDFAST_S3_ENDPOINT": "https://s3.internal:9000",
    "HOLDFAST_S3_ACCESS_KEY": "access",
    "HOLDFAST_S3_SECRET_KEY": "very-secret",
}
DATABASE = {"HOLDFAST_DATABASE_URL": "postgresql://user:very-secret@db/holdfast"}


def test_an_empty_environment_gives_the_embedded_services_on_localhost() -> None:
    settings = read_settings({})
    assert (settings.host, settings.port, settings.public_url) == ("localhost", 3000, "http://localhost:3000")
    assert settings.database_url is None
    assert settings.bucket is None
    assert settings.workers >= 1
    assert settings.data_dir == Path.cwd() / ".holdfast"


def test_the_public_url_follows_the_port_unless_it_is_given() -> None:
    assert read_settings({"HOLDFAST_PORT": "4000"}).public_url == "http://localhost:4000"
    given = {"HOLDFAST_PORT": "4000", "HOLDFAST_PUBLIC_URL": "https://Rec.Example/"}
    assert read_settings(given).public_origin == "https://rec.example"


def test_real_services_come_by_environment_alone() -> None:
    settings = read_settings({**S3, **DATABASE, "HOLDFAST_S3_BUCKET": "takes"})
    assert settings.database_url == DATABASE["HOLDFAST_DATABASE_URL"]
    assert settings.bucket is not None
    assert (settings.bucket.endpoint, settings.bucket.is_secure) == ("s3.internal:9000", True)
    assert settings.bucket.bucket == "takes"


def test_no_secret_shows() -> None:
    shown = repr(read_settings({**S3, **DATABASE})) + str(describe_settings({**S3, **DATABASE}))
    assert "very-secret" not in shown


@pytest.mark.parametrize(
    ("environ", "variable", "expected"),
    [
        ({"HOLDFAST_PORT": "abc"}, "HOLDFAST_PORT", "0 to 65535"),
        ({"HOLDFAST_PORT": "65536"}, "HOLDFAST_PORT", "0 to 65535"),
        ({"HOLDFAST_PORT": "٣"}, "HOLDFAST_PORT", "0 to 65535"),
        ({"HOLDFAST_HOST": "0.0.0.0"}, "HOLDFAST_HOST", "reverse proxy"),
        ({"HOLDFAST_HOST": "::"}, "HOLDFAST_HOST", "reverse proxy"),
        ({"HOLDFAST_HOST": "my.host"}, "HOLDFAST_HOST", "reverse proxy"),
        ({"HOLDFAST_HOST": "a b"}, "HOLDFAST_HOST", "without a port"),
        ({"HOLDFAST_PUBLIC_URL": "localhost:3000"}, "HOLDFAST_PUBLIC_URL", "http://HOST"),
        ({"HOLDFAST_PUBLIC_URL": "http://a/b"}, "HOLDFAST_PUBLIC_URL", "without path"),
        ({"HOLDFAST_PUBLIC_URL": "http://a:99999"}, "HOLDFAST_PUBLIC_URL", "http://HOST"),
        ({"HOLDFAST_DATABASE_URL": "mysql://u:very-secret@h/d"}, "HOLDFAST_DATABASE_URL", "postgresql://"),
        ({"HOLDFAST_S3_ENDPOINT": "https://s3"}, "HOLDFAST_S3_ACCESS_KEY", "credentials"),
        ({"HOLDFAST_S3_ACCESS_KEY": "x"}, "HOLDFAST_S3_ACCESS_KEY", "HOLDFAST_S3_ENDPOINT"),
        ({**S3, "HOLDFAST_S3_ENDPOINT": "ftp://s3"}, "HOLDFAST_S3_ENDPOINT", "http://HOST"),
        ({"HOLDFAST_GRACE_S": "60", "HOLDFAST_INGEST_TIMEOUT_S": "40"}, "HOLDFAST_GRACE_S", "twice"),
        ({"HOLDFAST_INGEST_TIMEOUT_S": "10"}, "HOLDFAST_INGEST_TIMEOUT_S", "seconds from 16 to 300"),
        ({"HOLDFAST_DRAIN_S": "-1"}, "HOLDFAST_DRAIN_S", "seconds from 0 to 600"),
        ({"HOLDFAST_LOG_FORMAT": "xml"}, "HOLDFAST_LOG_FORMAT", "auto, json, human"),
    ],
)
def test_a_wrong_setting_is_refused_with_variable_and_expectation(
    environ: dict[str, str], variable: str, expected: str
) -> None:
    with pytest.raises(InvalidSettingError) as caught:
        read_settings(environ)
    sentence = str(caught.value)
    assert sentence.startswith(variable)
    assert expected in sentence
    assert "very-secret" not in sentence


def test_the_grace_period_is_far_beyond_what_a_chunk_can_take() -> None:
    settings = read_settings({})
    # A PUT may land as late as its attempt lasts, a COMMIT as late as its settling.
    assert settings.grace_s >= 10 * (settings.ingest_timeout_s + PUT_S + COMMIT_S + SETTLE_S)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "127.0.0.9"])
def test_loopback_may_be_listened_on(host: str) -> None:
    assert read_settings({"HOLDFAST_HOST": host}).host == host


def test_the_operators_page_names_every_setting() -> None:
    page = (Path(__file__).parents[2] / "docs/OPERATING.md").read_text(encoding="utf-8")
    missing = [setting.variable for setting in SETTINGS if not re.search(rf"`{setting.variable}`", page)]
    assert missing == []
