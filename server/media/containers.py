"""Which container takes which codecs without encoding anew, and what its files are called and typed."""

import re
from collections.abc import Collection
from typing import Final

# By libav's names of the codecs.
_WEBM: Final = frozenset({"opus", "vorbis", "vp8", "vp9", "av1"})
_MP4: Final = frozenset({"aac", "mp3", "opus", "flac", "alac", "h264", "hevc", "vp9", "av1"})

# Container by the type that a browser gave its recording; whatever else it said is not repeated to anyone.
_CONTAINER_OF_TYPE: Final = {
    "audio/webm": "webm",
    "video/webm": "webm",
    "audio/mp4": "mp4",
    "video/mp4": "mp4",
    "audio/ogg": "ogg",
    "video/ogg": "ogg",
    "audio/x-matroska": "mkv",
    "video/x-matroska": "mkv",
}
_TYPE_OF_CONTAINER: Final = {"webm": "webm", "mp4": "mp4", "ogg": "ogg", "mkv": "x-matroska"}
_TYPE: Final = re.compile(r"[a-z]+/[a-z0-9.+-]+", re.ASCII)

# Bytes that are nothing a browser should show.
OTHER_TYPE: Final = "application/octet-stream"


def choose_containers(codecs: Collection[str]) -> list[str]:
    """The containers to try, the one that most browsers play first."""
    fitting = [name for name, taken in (("webm", _WEBM), ("mp4", _MP4)) if taken.issuperset(codecs)]
    return [*fitting, "mkv"]


def fits_mp4(codecs: Collection[str]) -> bool:
    """Whether an MP4 (M4A, where it has sound only) takes these codecs as they are."""
    return bool(codecs) and _MP4.issuperset(codecs)


def type_of(container: str, *, has_video: bool) -> str:
    """The media type of a file of ours."""
    return f"{'video' if has_video else 'audio'}/{_TYPE_OF_CONTAINER[container]}"


def safe_type(mime_type: str) -> str:
    """What a browser called its recording, without parameters, where it is a type that only plays.

    Anything else becomes bytes to save: a sender must not choose that its bytes are shown as a page.
    """
    found = _TYPE.match(mime_type.strip().lower())
    return found[0] if found and found[0] in _CONTAINER_OF_TYPE else OTHER_TYPE


def suffix_of(media_type: str) -> str:
    """The end of a file's name, with its dot."""
    if media_type == "audio/mp4":
        return ".m4a"
    container = _CONTAINER_OF_TYPE.get(media_type)
    return f".{container}" if container else ".bin"
