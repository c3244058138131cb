"""Where a face is and where it goes. No I/O; durations are seconds of media time."""

from __future__ import annotations

import math

from contract.event import Box

# In heights of the face, so that near and far faces are alike; chosen on synthetic crossings and
# the clips in tests/data/events.
_JITTER = 0.04**2  # variance of a box's centre from frame to frame
_AGILITY = 1.0  # spectral density of the acceleration, heights^2/s^3: 1 height/s more in a second
_FIRST_SPEED = 2.5**2  # variance of the speed of somebody just seen, (heights/s)^2
_RESIZE_S = 0.1  # time constant of the size
FARTHEST = 2.0  # heights: nobody is looked for farther off, however long unseen
_SIGMAS = 9.0  # three standard deviations, squared
_OVERLAP = 0.2  # boxes that share so much can be one face: people stop and start
_RESIZED = 0.45  # logarithm of the greatest change of size: a factor 1.57
_SIZE_SIGMA = 0.1
_BEST = 20.0  # gain of a pair that fits perfectly; one at all limits still gains about 1
_LEAST_GAIN = 0.01


class Motion:
    """A Kalman filter of a face's centre, at constant velocity with white noise in acceleration
    (Bar-Shalom, Li and Kirubarajan, "Estimation with Applications to Tracking and Navigation",
    2001, chapter 6). Continuous in time: 5 and 30 frames a second are one movement.

    x, y           the centre in pixels; width, height in pixels
    speed_x, _y    pixels/s
    Variances are in heights of the face; both axes share one.
    """

    __slots__ = (
        "_drift",
        "_mixed",
        "_seen",
        "_spread",
        "height",
        "speed_x",
        "speed_y",
        "width",
        "x",
        "y",
    )

    def __init__(self, box: Box) -> None:
        self.x = (box.left + box.right) / 2
        self.y = (box.top + box.bottom) / 2
        self.width = float(box.right - box.left)
        self.height = float(box.bottom - box.top)
        self.speed_x = self.speed_y = 0.0
        self._seen = box
        self._spread = _JITTER  # variance of the place
        self._mixed = 0.0  # covariance of place and speed
        self._drift = _FIRST_SPEED  # variance of the speed

    def predict(self, dt_s: float) -> None:
        """Let `dt_s` pass."""
        self.x += self.speed_x * dt_s
        self.y += self.speed_y * dt_s
        noise = _AGILITY * dt_s
        self._spread += dt_s * (2.0 * self._mixed + dt_s * (self._drift + noise / 3.0))
        self._mixed += dt_s * (self._drift + noise / 2.0)
        self._drift += noise

    def gain(self, box: Box) -> float:
        """How much speaks for `box` being this face: above 0, or 0 if it cannot be.

        The log-likelihood of place and size. So the one seen a moment ago, whose place is known
        well, has the better claim to a box than one who could be anywhere by now.
        """
        width, height = box.right - box.left, box.bottom - box.top
        # At the edge of the frame a box is cut in one direction.
        wider, taller = math.log(width / self.width), math.log(height / self.height)
        resized = wider if abs(wider) < abs(taller) else taller
        if not -_RESIZED < resized < _RESIZED:
            return 0.0
        scale = self.height
        dx = ((box.left + box.right) / 2 - self.x) / scale
        dy = ((box.top + box.bottom) / 2 - self.y) / scale
        away = dx * dx + dy * dy
        if away > FARTHEST * FARTHEST:
            return 0.0
        variance = self._spread + _JITTER
        unlikely = away / variance
        if unlikely > _SIGMAS:
            if overlap(box, self._seen) < _OVERLAP:
                return 0.0
            unlikely = _SIGMAS
        spread = 2.0 * math.log(variance / (2.0 * _JITTER))
        return max(_LEAST_GAIN, _BEST - unlikely - spread - (resized / _SIZE_SIGMA) ** 2)

    def update(self, box: Box, dt_s: float) -> None:
        """The face was seen in `box`; `dt_s` since it was last seen."""
        self._seen = box
        share = self._spread / (variance := self._spread + _JITTER)
        quicker = self._mixed / variance
        dx = (box.left + box.right) / 2 - self.x
        dy = (box.top + box.bottom) / 2 - self.y
        self.x += share * dx
        self.y += share * dy
        self.speed_x += quicker * dx
        self.speed_y += quicker * dy
        self._drift -= quicker * self._mixed
        self._mixed *= 1.0 - share
        self._spread *= 1.0 - share
        new = dt_s / (_RESIZE_S + dt_s)
        self.width += new * (box.right - box.left - self.width)
        self.height += new * (box.bottom - box.top - self.height)

    def is_outside(self, width: int, height: int) -> bool:
        """Whether the centre has left a frame of `width` x `height` pixels."""
        return not (0.0 <= self.x <= width and 0.0 <= self.y <= height)

    def box(self, width: int, height: int) -> Box:
        """Where the face would be by now, within a frame of `width` x `height` pixels."""
        left = min(max(0, round(self.x - self.width / 2)), width - 1)
        top = min(max(0, round(self.y - self.height / 2)), height - 1)
        right = max(left + 1, min(width, round(self.x + self.width / 2)))
        bottom = max(top + 1, min(height, round(self.y + self.height / 2)))
        return Box(left, top, right, bottom)


def overlap(a: Box, b: Box) -> float:
    """Intersection over union, 0..1."""
    across = min(a.right, b.right) - max(a.left, b.left)
    down = min(a.bottom, b.bottom) - max(a.top, b.top)
    if across <= 0 or down <= 0:
        return 0.0
    shared = across * down
    return shared / (a.width * a.height + b.width * b.height - shared)
