"""Content-Disposition with a recording's title as the name of the file (RFC 6266, RFC 8187)."""

import re
import unicodedata
from datetime import datetime
from typing import Final
from urllib.parse import quote

_NAME_CHARS_MAX: Final = 100
# What some file system, shell or header has a meaning for, and marks that turn the direction of writing,
# by which `gpj.exe` shows as `exe.jpg`.
_UNSAFE: Final = re.compile(r'[\x00-\x1f\x7f-\x9f/\\:*?"<>|%;\u200e\u200f\u202a-\u202e\u2066-\u2069]')
_RESERVED: Final = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")
# RFC 8187's attr-char, besides letters and digits.
_UNQUOTED: Final = "!#$&+-.^_`|~"


def name_file(title: str | None, started_at: datetime, suffix: str) -> str:
    """A name that every file system takes."""
    stem = _clean(title or "") or f"Recording {started_at:%Y-%m-%d %H-%M}"
    return f"{stem}{suffix}"


def describe_file(name: str, *, is_saved: bool) -> str:
    """The header's value: the name for every client, and the true one for those that read it."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", errors="ignore").decode()
    stem, dot, suffix = plain.rpartition(".")
    plain = f"{_clean(stem) or 'recording'}{dot}{suffix}"
    kind = "attachment" if is_saved else "inline"
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe=_UNQUOTED)}"


def _clean(text: str) -> str:
    safe = _UNSAFE.sub("_", unicodedata.normalize("NFC", text))[:_NAME_CHARS_MAX].strip(" ._")
    return f"_{safe}" if _RESERVED.fullmatch(safe) else safe
