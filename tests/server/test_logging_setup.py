"""Log lines: one JSON object each, or short human ones; with what the caller gave and without secrets."""

import json
import logging
import sys

import pytest

from server.logging_setup import HumanFormatter, JsonFormatter, list_secrets
from server.settings import read_settings


def make_record(message: str, level: int = logging.INFO, **extra: object) -> logging.LogRecord:
    return logging.getLogger("server.test").makeRecord(
        "server.test", level, __file__, 1, message, (), None, extra=extra or None
    )


def test_a_json_line_holds_time_level_message_and_what_the_caller_gave() -> None:
    line = json.loads(JsonFormatter(()).format(make_record("stored\ntwice", request_id="ab12", size=7)))
    assert line["at"].endswith("+00:00")
    assert (line["level"], line["logger"], line["message"]) == ("info", "server.test", "stored\ntwice")
    assert (line["request_id"], line["size"]) == ("ab12", 7)


def test_a_json_line_stays_one_line_with_a_traceback_and_values_of_any_kind() -> None:
    record = make_record("failed", logging.ERROR, path=object())
    try:
        raise ValueError("why")
    except ValueError:
        record.exc_info = sys.exc_info()
    text = JsonFormatter(()).format(record)
    assert "\n" not in text
    assert "ValueError: why" in json.loads(text)["traceback"]


def test_a_human_line_names_the_level_only_where_it_matters() -> None:
    assert HumanFormatter(()).format(make_record("ready", url="x")).endswith(" ready  url=x")
    assert " error: away" in HumanFormatter(()).format(make_record("away", logging.ERROR))


@pytest.mark.parametrize("formatter", [JsonFormatter, HumanFormatter])
def test_no_line_shows_a_secret(formatter: type[JsonFormatter | HumanFormatter]) -> None:
    settings = read_settings(
        {
            "HOLDFAST_DATABASE_URL": "postgresql://holdfast:pass%2Fword@127.0.0.1/holdfast",
            "HOLDFAST_S3_ENDPOINT": "http://127.0.0.1:9",
            "HOLDFAST_S3_ACCESS_KEY": "key",
            "HOLDFAST_S3_SECRET_KEY": "very-secret",
        }
    )
    record = make_record("pass%2Fword", reason="pass/word very-secret")
    line = formatter(list_secrets(settings)).format(record)
    for secret in ("pass%2Fword", "pass/word", "very-secret"):
        assert secret not in line
