"""The picture in the README, from the video that `emotion-up --annotate` writes.

emotion-up deploy/demo/people.mp4 --annotate seen.mp4
python deploy/demo/make_gif.py seen.mp4 deploy/demo/demo.gif
"""

from __future__ import annotations

import argparse
from pathlib import Path

import av
from PIL import Image

WIDTH_PX = 400
KEEP_EVERY = 2
COLOURS = 96


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("video", type=Path)
    parser.add_argument("gif", type=Path)
    options = parser.parse_args()
    pictures: list[Image.Image] = []
    with av.open(str(options.video)) as container:
        rate = float(container.streams.video[0].average_rate or 15)
        for index, frame in enumerate(container.decode(video=0)):
            if index % KEEP_EVERY == 0:
                height = round(frame.height * WIDTH_PX / frame.width)
                pictures.append(frame.to_image().resize((WIDTH_PX, height), Image.Resampling.BOX))
    # One palette for all, or the background would flicker; no dithering, which no GIF can compress.
    palette = _contact_sheet(pictures).quantize(COLOURS)
    frames = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    frames[0].save(
        options.gif,
        save_all=True,
        append_images=frames[1:],
        duration=round(1000 * KEEP_EVERY / rate),
        loop=0,
        optimize=True,
    )
    print(f"{options.gif}: {len(frames)} pictures, {options.gif.stat().st_size / 1e6:.1f} MB")


def _contact_sheet(pictures: list[Image.Image]) -> Image.Image:
    chosen = pictures[:: max(1, len(pictures) // 12)]
    width, height = chosen[0].size
    sheet = Image.new("RGB", (width, height * len(chosen)))
    for row, picture in enumerate(chosen):
        sheet.paste(picture, (0, row * height))
    return sheet


if __name__ == "__main__":
    main()
