"""A title as the name of a file: safe everywhere, and still the title."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.routes.file_names import describe_file, name_file

AT = datetime(2026, 11, 24, 9, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Monday's talk", "Monday's talk.webm"),
        (None, "Recording 2026-11-24 09-05.webm"),
        ("...", "Recording 2026-11-24 09-05.webm"),
        ("../../etc/passwd", "etc_passwd.webm"),
        ("a\\b:c", "a_b_c.webm"),
        ("CON", "_CON.webm"),
        ("\u202egpj.exe", "gpj.exe.webm"),
        ("Füße 足", "Füße 足.webm"),
        ("x" * 300, "x" * 100 + ".webm"),
    ],
)
def test_a_title_becomes_a_name_that_every_file_system_takes(title: str | None, name: str) -> None:
    assert name_file(title, AT, ".webm") == name


def test_the_header_says_the_true_name_and_one_for_old_clients() -> None:
    header = describe_file(name_file("Füße 足", AT, ".webm"), is_saved=True)
    assert header == "attachment; filename=\"Fue 足.webm\"; filename*=UTF-8''F%C3%BC%C3%9Fe%20%E8%B6%B3.webm".replace(
        "Fue 足", "Fue"
    )


@given(st.text(max_size=200))
def test_no_title_breaks_out_of_the_header(title: str) -> None:
    header = describe_file(name_file(title, AT, ".webm"), is_saved=True)
    assert header.isascii()
    assert header.isprintable()
    kind, plain, true = header.split("; ")
    assert kind == "attachment"
    assert plain.count('"') == 2
    assert plain.endswith('.webm"')
    assert true.startswith("filename*=UTF-8''")
    assert true.endswith(".webm")
