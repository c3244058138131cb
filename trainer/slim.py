"""`python -m trainer.slim PACK OUT`: a pack without its test crops, to train from elsewhere.

A lent machine takes 64 MiB, and where nothing is tested nothing can be chosen on the test.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from contract.errors import EmotionStreamError
from trainer.pack import NO_PERSON, Pack, Split
from trainer.pack_writer import PackWriter

_KEPT: tuple[Split, ...] = ("train", "valid")


def main(argv: Sequence[str] | None = None) -> int:
    """Write the smaller pack; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m trainer.slim", description=__doc__)
    parser.add_argument("pack", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args(argv)
    try:
        made = slim(Pack.open(given.pack), given.out)
    except EmotionStreamError as error:
        print(f"trainer.slim: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{given.out}: {len(made):,} crops, {given.out.stat().st_size / 2**20:.1f} MiB")
    return 0


def slim(pack: Pack, out: Path) -> Pack:
    """The crops of `pack` that training or validation can use, in a pack of their own."""
    made = {**pack.header.made, "slimmed from": pack.header.fingerprint}
    with PackWriter(
        out, pack.labels, pack.header.side_px, name=pack.header.name, made=made
    ) as writer:
        for split in _KEPT:
            for row in pack.split(split).tolist():
                if pack.votes[row].sum() == 0:
                    continue
                person = int(pack.person[row])
                writer.add(
                    pack.encoded(row).tobytes(),
                    pack.votes[row],
                    split,
                    None if person == NO_PERSON else pack.persons[person],
                    pack.ids[row],
                    unsure=float(pack.unsure[row]),
                    truth=int(pack.truth[row]),
                )
        return writer.finish()


if __name__ == "__main__":
    sys.exit(main())
