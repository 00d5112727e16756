"""How the text of a setting is read: each kind gives a value, or `ValueError` with what was expected."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Parse = Callable[[str], Any]


class InvalidSettingError(ValueError):
    """A variable's value cannot be used; the message names variable, value and expectation."""


def whole_number(least: int, most: int) -> Parse:
    """An integer from `least` to `most`."""

    def parse(text: str) -> int:
        if re.fullmatch(r"[0-9]{1,18}", text) is None or not least <= int(text) <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return int(text)

    return parse


def seconds(least: float, most: float) -> Parse:
    """A number of seconds from `least` to `most`."""

    def parse(text: str) -> float:
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text) is None or not least <= float(text) <= most:
            raise ValueError(f"seconds from {least:g} to {most:g}")
        return float(text)

    return parse


def one_of(*words: str) -> Parse:
    """One of these words."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"one of {', '.join(words)}")
        return text

    return parse


def parse_text(text: str) -> str:
    """Visible ASCII without spaces: it goes into headers and addresses."""
    if re.fullmatch(r"[!-~]+", text) is None:
        raise ValueError("visible ASCII characters without spaces")
    return text


def parse_host(text: str) -> str:
    """`localhost`, a host name or an IP address."""
    if re.fullmatch(r"[A-Za-z0-9.:_-]+", text) is None:
        raise ValueError("localhost, a host name or an IP address, without a port")
    return text


def parse_path(text: str) -> Path:
    """A path; a relative one counts from the working directory."""
    return Path(text).expanduser().absolute()


def parse_url(text: str) -> str:
    """http(s)://HOST[:PORT] and nothing more; what is given without a trailing slash."""
    problem = ValueError("http://HOST[:PORT] or https://HOST[:PORT], without path, user or query")
    try:
        split = urlsplit(text)
        is_right = split.port != 0
    except ValueError:
        raise problem from None
    if not is_right or split.scheme not in ("http", "https") or not split.hostname or "@" in split.netloc:
        raise problem
    if split.path not in ("", "/") or split.query or split.fragment:
        raise problem
    return f"{split.scheme}://{split.netloc}"


def parse_database_url(text: str) -> str:
    """A libpq address of a PostgreSQL."""
    if re.match(r"postgres(ql)?://", text) is None:
        raise ValueError("postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
    return text
