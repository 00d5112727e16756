"""`make pictures`: the README's pictures and its animation of twenty seconds, from what the stories left."""

import shutil
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
from av.video.frame import VideoFrame

# What the README shows, by the story's picture.
PICTURES: Final = {
    "recording-camera": "recording",
    "saved-offline": "offline",
    "list-phone-dark": "phone",
    "ops": "ops",
}
# The animation: frames of the folder STORY, in the order of their names.
STORY: Final = "story"
FRAMES_PER_S: Final = 5
STORY_S: Final = 20
SIDE_PX: Final = 800


def make_animation(frames: list[Path], target: Path) -> None:
    """One WebP of all frames; what stands still costs nothing."""
    with av.open(str(target), "w", format="webp", options={"loop": "0"}) as output:
        stream: Any = output.add_stream("libwebp_anim", rate=FRAMES_PER_S)
        stream.width = stream.height = SIDE_PX
        stream.pix_fmt, stream.time_base = "bgra", Fraction(1, FRAMES_PER_S)
        stream.codec_context.options = {"quality": "70", "compression_level": "6"}
        for at, frame in enumerate(frames):
            picture = read_frame(frame)
            picture.pts, picture.time_base = at, Fraction(1, FRAMES_PER_S)
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))


def read_frame(path: Path) -> VideoFrame:
    """The square picture as large as the animation. Raises `OSError` where there is none."""
    with av.open(str(path), "r") as container:
        frame: Any = next(container.decode(video=0))
    small: VideoFrame = frame.reformat(width=SIDE_PX, height=SIDE_PX, format="bgra", interpolation="LANCZOS")
    return small


def main(folder: Path, target: Path) -> int:
    """0, or 1 where a story left no picture."""
    missing = sorted(name for name in PICTURES if not (folder / f"{name}.png").is_file())
    frames = sorted((folder / STORY).glob("*.png"))
    if missing or len(frames) != STORY_S * FRAMES_PER_S:
        expected = f"expected every picture and {STORY_S * FRAMES_PER_S} frames of the story"
        print(f"pictures: {folder} lacks {missing} and has {len(frames)} frames; {expected}", file=sys.stderr)
        return 1
    for taken, shown in PICTURES.items():
        shutil.copyfile(folder / f"{taken}.png", target / f"{shown}.png")
    make_animation(frames, target / "story.webp")
    print(f"pictures: {len(PICTURES)} pictures and the animation are in {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
