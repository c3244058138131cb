"""The flags of every command that sends people somewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from consumer.sinks.midi_file import midi_file
from consumer.sinks.udp import UdpAddress
from consumer.steady_settings import SteadySettings
from consumer.units import Hertz, Seconds
from contract.affect import Range
from contract.errors import UsageError


class PlaySettings(SteadySettings):
    """Flags of whatever plays."""

    osc: list[str] = Field(
        [],
        description="send people to this HOST:PORT as Open Sound Control over UDP; give it several "
        "times for several programs",
    )
    osc_by: Literal["track", "voice"] = Field(
        "track",
        description="what the number in an OSC address is: track, which stays with a person for "
        "good, or voice, the lowest number that is free when somebody comes",
    )
    rate: Hertz = Field(
        10.0,
        description="OSC and MIDI at this even rate, interpolated between frames; 0 = a message "
        "for each frame, as it comes",
    )
    delay: Seconds | None = Field(
        None,
        description="with a rate, how long it waits for the frames that are slowest to arrive, "
        "counted from the quickest; by default as little as they allow",
    )
    midi: list[str] = Field(
        [],
        description="send people as MIDI control changes to this port (a part of its name will do; "
        "virtual:NAME opens one) or write them to this FILE.mid",
    )
    csv: Path | None = Field(None, description="write people to this file, a row each a frame")
    jsonl: Path | None = Field(
        None, description="write people and transitions to this file, one JSON object a line"
    )
    publish: bool = Field(
        False,
        description="write people and transitions to Redis as well (stream PREFIX:{0}:smoothed), "
        "for programs in other languages",
    )
    keep_published: int = Field(
        100_000, ge=1, le=100_000_000, description="most entries of that stream, for each partition"
    )
    range: Literal["-1..1", "0..1"] = Field(
        "-1..1", description="of valence and arousal in OSC, CSV and tables"
    )

    @field_validator("osc")
    @classmethod
    def _osc(cls, value: list[str]) -> list[str]:
        for text in value:
            try:
                UdpAddress.parse(text)
            except UsageError as error:
                raise ValueError(str(error).removeprefix("--osc ")) from None
        return value

    @property
    def has_sinks(self) -> bool:
        """Whether signals go anywhere."""
        return bool(self.osc or self.midi or self.csv or self.jsonl or self.publish)

    @property
    def outputs(self) -> list[tuple[str, Path]]:
        """The files that will be written, each with its flag."""
        files = [("--csv", self.csv), ("--jsonl", self.jsonl)]
        files += [("--midi", midi_file(target)) for target in self.midi]
        return [(flag, path) for flag, path in files if path is not None]

    @property
    def scale(self) -> Range:
        return Range(self.range)
