"""A camera for tests: an RTSP server (GStreamer's) that films an H.264 file in a loop.

Run by Debian's own Python, which has GStreamer (`gi`); it imports nothing of this project:

    /usr/bin/python3 rtsp_server.py FILE.h264 FPS PORT [USER:PASSWORD]

FILE is an Annex B stream whose pictures begin with access unit delimiters (x264's `aud=1`). The
film runs on whether anybody watches or not, as a camera's does, so that who comes may have to wait
for the next key frame. Everybody sees the same one (shared media) at rtsp://127.0.0.1:PORT/live.
SIGUSR1 makes it end (end of stream, and RTCP says BYE). A line on stdout says when the film began,
by the wall clock in nanoseconds, and that the port is open.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

DELIMITER = b"\0\0\0\1\x09"
DELIMITER_BYTES = 6
IDR_SLICE = b"\0\0\1\x65"
TICK_MS = 5
LAUNCH = """( appsrc name=film is-live=true format=time do-timestamp=true
  caps=video/x-h264,stream-format=byte-stream,alignment=au,framerate={fps}/1
  ! rtph264pay name=pay0 pt=96 )"""


class Camera:
    """Pushes the picture whose time has come into every pipeline that somebody watches."""

    def __init__(self, film: bytes, fps: int) -> None:
        self._pictures = [DELIMITER + rest for rest in film.split(DELIMITER)[1:]]
        # Whoever asks is told the parameter sets at once, whatever picture is next.
        first = self._pictures[0]
        self._parameters = first[: first.index(IDR_SLICE)]
        self._fps = fps
        self._started_s = time.monotonic()
        self.started_at_ns = time.time_ns()
        self._last = -1
        self._lock = threading.Lock()
        self._watched: dict[Any, bool] = {}  # pipelines, and whether each has had a picture

    def watch(self, _factory: Any, media: Any) -> None:
        """In a thread of GStreamer's, as is `_forget`."""
        film = media.get_element().get_by_name("film")
        with self._lock:
            self._watched[film] = False
        media.connect("unprepared", lambda _media: self._forget(film))

    def tick(self) -> bool:
        number = int((time.monotonic() - self._started_s) * self._fps)
        if number > self._last:  # what a stopped process missed is gone: cameras don't catch up
            self._last = number
            picture = self._pictures[number % len(self._pictures)]
            whole = self._parameters + picture[DELIMITER_BYTES:]
            with self._lock:
                watched = list(self._watched.items())
                self._watched = dict.fromkeys(self._watched, True)
            for film, has_begun in watched:
                data = picture if has_begun else whole
                film.emit("push-buffer", Gst.Buffer.new_wrapped(data))
        return True

    def end(self) -> bool:
        with self._lock:
            watched = list(self._watched)
        for film in watched:
            film.emit("end-of-stream")
        return True

    def _forget(self, film: Any) -> None:
        with self._lock:
            self._watched.pop(film, None)


def main(path: str, fps: str, port: str, login: str = "") -> None:
    Gst.init(None)
    camera = Camera(Path(path).read_bytes(), int(fps))
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(LAUNCH.format(fps=fps))
    factory.set_shared(True)
    factory.connect("media-configure", camera.watch)
    server = GstRtspServer.RTSPServer(address="127.0.0.1", service=port)
    if login:
        _ask_for(login, server, factory)
    server.get_mount_points().add_factory("/live", factory)
    if not server.attach(None):
        sys.exit(f"port {port} is taken")
    GLib.timeout_add(TICK_MS, camera.tick)
    GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGUSR1, camera.end)
    print(camera.started_at_ns, flush=True)
    GLib.MainLoop().run()


def _ask_for(login: str, server: Any, factory: Any) -> None:
    """Let in whoever has this user name and password, and nobody else."""
    user, _, password = login.partition(":")
    token = GstRtspServer.RTSPToken()
    token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "viewer")
    auth = GstRtspServer.RTSPAuth()
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    factory.add_role_from_structure(
        Gst.Structure.from_string(
            "viewer, media.factory.access=(boolean)true, media.factory.construct=(boolean)true"
        )[0]
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
