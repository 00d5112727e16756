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
    "complete-phone-dark": "phone",
    "ops": "ops",
}
# The animation: which picture stands for how many seconds.
SCENES: Final = (
    ("ready", 1.4),
    ("check", 2.2),
    ("recording", 2.2),
    ("recording-camera", 2.4),
    ("paused", 1.4),
    ("recording-offline", 2.2),
    ("saved-offline", 1.8),
    ("server-away", 1.6),
    ("recovering", 1.6),
    ("list", 1.8),
    ("player", 1.4),
)
SIDE_PX: Final = 800
_BACKGROUND: Final = 0xF6F5F1  # of the page


def make_animation(folder: Path, target: Path) -> None:
    """One WebP of all scenes; a still picture costs nothing for as long as it stands."""
    with av.open(str(target), "w", format="webp", options={"loop": "0"}) as output:
        stream: Any = output.add_stream("libwebp_anim", rate=5)
        stream.width = stream.height = SIDE_PX
        stream.pix_fmt, stream.time_base = "yuv420p", Fraction(1, 5)
        stream.codec_context.options = {"quality": "70", "compression_level": "6"}
        at = 0
        for name, seconds in SCENES:
            picture = read_scene(folder / f"{name}.png")
            for _ in range(round(seconds * 5)):
                picture.pts, picture.time_base = at, Fraction(1, 5)
                at += 1
                output.mux(stream.encode(picture))
        output.mux(stream.encode(None))


def read_scene(path: Path) -> VideoFrame:
    """The picture's upper part, as wide as the animation. Raises `OSError` where there is none."""
    with av.open(str(path), "r") as container:
        frame: Any = next(container.decode(video=0))
    graph = av.filter.Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format.name, time_base=Fraction(1))
    steps = [
        graph.add("scale", f"{SIDE_PX}:-2:flags=lanczos"),
        graph.add("pad", f"{SIDE_PX}:max(ih\\,{SIDE_PX}):0:0:color=0x{_BACKGROUND:06X}"),
        graph.add("crop", f"{SIDE_PX}:{SIDE_PX}:0:0"),
        graph.add("format", "yuv420p"),
        graph.add("buffersink"),
    ]
    for before, after in zip([source, *steps], steps, strict=False):
        before.link_to(after)
    graph.configure()
    frame.pts, frame.time_base = 0, Fraction(1)
    graph.push(frame)
    scene: VideoFrame = graph.vpull()
    return scene


def main(folder: Path, target: Path) -> int:
    """0, or 1 where a story left no picture."""
    wanted = [*PICTURES, *(name for name, _ in SCENES)]
    missing = sorted({name for name in wanted if not (folder / f"{name}.png").is_file()})
    if missing:
        print(f"pictures: the stories left none of {', '.join(missing)} in {folder}", file=sys.stderr)
        return 1
    for taken, shown in PICTURES.items():
        shutil.copyfile(folder / f"{taken}.png", target / f"{shown}.png")
    make_animation(folder, target / "story.webp")
    print(f"pictures: {len(PICTURES)} pictures and the animation are in {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
