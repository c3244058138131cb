"""How a face is cut out of a frame: a classifier sees in service what it was trained on.

Only words and numbers that can be compared; `worker.faces.crop` does the cutting.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class CropRule:
    """How a crop is made from a face's box.

    shape            of what is cut, around the middle of the box
    side_of_height   its side as a share of the box's height: the margin
    outside          what is put where it leaves the frame
    resize           how it becomes as large as the model's input
    """

    shape: str
    side_of_height: float
    outside: str
    resize: str

    def __str__(self) -> str:
        share = f"{self.side_of_height:g} of the box's height"
        return f"{self.shape}, {share}, outside {self.outside}, {self.resize}"

    @classmethod
    def decode(cls, raw: Any) -> CropRule:
        """The rule as JSON has it. A key that is not known may change every crop, so it is refused,
        unlike elsewhere in a manifest. Raises `ValueError`.
        """
        known = [entry.name for entry in fields(cls)]
        if not isinstance(raw, dict) or sorted(raw) != sorted(known):
            got = ", ".join(map(str, raw)) if isinstance(raw, dict) else type(raw).__name__
            raise ValueError(f"crop: expected {', '.join(known)}, got {got}")
        share = raw["side_of_height"]
        if type(share) not in (int, float) or not 0 < share < 10:
            raise ValueError(f"crop: side_of_height: expected a number from 0 to 10, got {share!r}")
        words = {key: raw[key] for key in known if key != "side_of_height"}
        if wrong := [key for key, word in words.items() if not isinstance(word, str)]:
            raise ValueError(f"crop: expected text in {', '.join(wrong)}")
        return cls(side_of_height=float(share), **words)
