"""Which MIME types a MediaRecorder is asked for, best first.

WebM with Opus comes first wherever it exists: it can be cut anywhere and loses about 100 ms with a
dying tab, where MP4 loses a second or more. MP4 is for browsers that have nothing else.
"""

from typing import Final

_AUDIO: Final = (
    "audio/webm;codecs=opus",
    "audio/webm",
    "audio/ogg;codecs=opus",
    "audio/mp4;codecs=mp4a.40.2",
    "audio/mp4",
)
_VIDEO: Final = (
    "video/webm;codecs=vp9,opus",
    "video/webm;codecs=vp8,opus",
    "video/webm",
    "video/mp4;codecs=avc1.42E01E,mp4a.40.2",
    "video/mp4",
)
SOURCES: Final = ("microphone", "camera", "screen", "file")


def rank_formats(source: str, supported: list[str]) -> list[str]:
    """Of the supported types those for this source, best first; empty means: the window's own choice."""
    if source == "file":
        return []
    ranked = _AUDIO if source == "microphone" else _VIDEO
    return [mime_type for mime_type in ranked if mime_type in supported]
