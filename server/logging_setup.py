"""How the server's processes log: one JSON object a line, or a short human line on a terminal.

A line carries what the caller gave as `extra` (a request_id, counts, codes). Nobody logs bodies; and
secrets are masked here as well, because an error of a lower library may quote an address that holds one.
"""

import logging
import sys
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, TextIO
from urllib.parse import unquote, urlsplit

import msgspec

from server.settings import Settings

_MASK: Final = "********"
# What every record has; everything else on it was given as `extra`.
_OWN_ATTRIBUTES: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
}


def set_up_logging(settings: Settings, stream: TextIO | None = None) -> None:
    """Send every logger's records of this process to stderr in the form that the settings choose."""
    target = stream or sys.stderr
    is_human = settings.log_format == "human" or (settings.log_format == "auto" and target.isatty())
    handler = logging.StreamHandler(target)
    secrets = list_secrets(settings)
    handler.setFormatter(HumanFormatter(secrets) if is_human else JsonFormatter(secrets))
    level = settings.log_level.upper()
    logging.basicConfig(level=level, handlers=[handler], force=True)
    _log_what_nobody_catches()
    # The supervisor says already what starts and ends; libraries' own chatter is for debugging.
    for name in ("uvicorn", "urllib3", "asyncio", "psycopg"):
        logging.getLogger(name).setLevel(level if level == "DEBUG" else max("WARNING", level, key=_severity))


def _log_what_nobody_catches() -> None:
    """Uncaught errors become lines like all others, instead of text between them."""
    log = logging.getLogger("holdfast")

    def log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
        else:
            log.critical("uncaught error", exc_info=(kind, error, trace))

    def log_unraisable(ignored: "sys.UnraisableHookArgs") -> None:
        # What is no Exception is a signal to stop that met a finalizer; the supervisor's loop hears of it too.
        level = logging.ERROR if issubclass(ignored.exc_type, Exception) else logging.DEBUG
        error = ignored.exc_value or ignored.exc_type()
        log.log(level, "error ignored", exc_info=(ignored.exc_type, error, ignored.exc_traceback))

    def log_thread(uncaught: threading.ExceptHookArgs) -> None:
        error = uncaught.exc_value or uncaught.exc_type()
        log.error("uncaught error in a thread", exc_info=(uncaught.exc_type, error, uncaught.exc_traceback))

    sys.excepthook = log_uncaught
    sys.unraisablehook = log_unraisable
    threading.excepthook = log_thread


def list_secrets(settings: Settings) -> tuple[str, ...]:
    """The texts that no line may show."""
    found: list[str] = []
    if settings.database_url is not None:
        password = urlsplit(settings.database_url).password or ""
        found += [password, unquote(password)]
    if settings.bucket is not None:
        found.append(settings.bucket.secret_key)
    return tuple({secret for secret in found if secret})


class _MaskingFormatter(logging.Formatter):
    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__()
        self._secrets = tuple(secrets)

    def format(self, record: logging.LogRecord) -> str:
        line = self.compose(record, _list_extra(record))
        for secret in self._secrets:
            line = line.replace(secret, _MASK)
        return line

    def compose(self, record: logging.LogRecord, extra: dict[str, Any]) -> str:
        """The line with its secrets still in it."""
        raise NotImplementedError

    def describe_error(self, record: logging.LogRecord) -> str:
        """The traceback, or ""."""
        return self.formatException(record.exc_info) if record.exc_info else ""


class JsonFormatter(_MaskingFormatter):
    """{"at", "level", "logger", "process", "message", …extra, "traceback"?} in one line."""

    def compose(self, record: logging.LogRecord, extra: dict[str, Any]) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
            **extra,
        }
        if traceback := self.describe_error(record):
            line["traceback"] = traceback
        return msgspec.json.encode(line, enc_hook=str).decode()


class HumanFormatter(_MaskingFormatter):
    """`12:00:00 warning: message  name=value`; the level only from warning on."""

    def compose(self, record: logging.LogRecord, extra: dict[str, Any]) -> str:
        clock = datetime.fromtimestamp(record.created, UTC).astimezone().strftime("%H:%M:%S")
        level = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        pairs = "".join(f"  {name}={value}" for name, value in extra.items())
        traceback = self.describe_error(record)
        return f"{clock} {level}{record.getMessage()}{pairs}" + (f"\n{traceback}" if traceback else "")


def _list_extra(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _OWN_ATTRIBUTES}


def _severity(level: str) -> int:
    return logging.getLevelNamesMapping()[level]
