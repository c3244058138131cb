"""Which variants run here, and how the ceiling of each is cut best."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from contract.process.settings import usable_cores
from tests.benchmarks.line import run_program
from tests.benchmarks.progress import say
from tests.benchmarks.run import Run
from tests.benchmarks.usage import CommandFailed
from tests.benchmarks.variant import STANDS_IN, Variant

# Each loads the networks anew; more than a few would only show how much memory there is.
MOST_PROCESSES = 4

_ALONE, _GROUP = "tests.benchmarks.ceiling", "tests.benchmarks.ceiling_group"


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The best cut found for one variant on this machine."""

    variant: Variant
    engine: str
    module: str
    arguments: Sequence[str]
    tried: Sequence[Run]

    def run(self, clip: Path) -> Run:
        """One pass over the clip; raises `CommandFailed`."""
        (run,) = run_program(self.module, [str(clip), *self.arguments], self.variant.environment)
        return run


def find_ceilings(names: Iterable[str], clip: Path) -> tuple[list[Ceiling], dict[str, str]]:
    """The ceiling of every variant that runs here, and why the others don't.

    Every cut gets one pass over `clip`. A variant that turns out to run the same engine as one
    before it is left out.
    """
    found: dict[str, Ceiling] = {}
    left_out: dict[str, str] = {}
    for name in names:
        if STANDS_IN.get(name) in {ceiling.variant.name for ceiling in found.values()}:
            continue
        say(f"{name}: looking for its best ceiling")
        try:
            ceiling = _best(Variant.parse(name), clip)
        except CommandFailed as error:
            left_out[name] = str(error).splitlines()[-1]
            say(f"{name}: left out: {left_out[name]}")
            continue
        if ceiling.engine in found:
            left_out[name] = f"runs the same as {found[ceiling.engine].variant.name}"
            say(f"{name}: left out: {left_out[name]}")
            continue
        found[ceiling.engine] = ceiling
        say(f"{name}: {ceiling.engine}, best cut {max(ceiling.tried, key=_speed).shape}")
    return list(found.values()), left_out


def _best(variant: Variant, clip: Path) -> Ceiling:
    tried = run_program(_ALONE, [str(clip)], variant.environment)
    best = max(tried, key=_speed)
    processes = min(MOST_PROCESSES, usable_cores())
    if processes > 1:
        (group,) = run_program(_GROUP, [str(clip), str(processes)], variant.environment)
        if _speed(group) > _speed(best):
            return Ceiling(variant, best.engine, _GROUP, [str(processes)], [*tried, group])
        tried.append(group)
    return Ceiling(variant, best.engine, _ALONE, [best.shape], tried)


def _speed(run: Run) -> float:
    return run.frames_per_s
