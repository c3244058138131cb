"""Kills workers, servers and connections until the guarantees would break, and looks if they did.

    make chaos                          one round: 10,000 frames, 20 worker kills, 2 server restarts
    make chaos ROUNDS=10                ten of them
    make chaos ROUNDS=3 CHAOS="--seed 7 --server redis"

Real producers, workers and readers on a real server with `appendfsync always`; a proxy on the
wire cuts connections and eats replies; some frames kill the worker that decodes them; the number of
partitions changes four times a round. The same seed draws the same faults in the same order. Exit
code 1 if a guarantee was broken.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from contract.process.logs import configure_logs
from tests.chaos.driver import Chaos, RoundResult, Stuck
from tests.chaos.plan import RoundPlan
from tests.chaos.system import Pace
from tests.chaos.verdict import Verdict
from tests.integration.servers import Program, TroubledServer

SERVERS: dict[str, Program] = {"valkey": "valkey", "redis": "oldest_redis"}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="make chaos", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=1, help="how many rounds (default: 1)")
    parser.add_argument("--seed", type=int, default=1, help="of the dice (default: 1)")
    parser.add_argument("--frames", type=int, default=10_000, help="least frames a round")
    parser.add_argument("--server", choices=tuple(SERVERS), default="valkey")
    parser.add_argument("--out", type=Path, help="write figures to this JSON file, too")
    parser.add_argument("--keep", type=Path, help="keep logs and outputs in this folder")
    options = parser.parse_args()
    if options.server == "redis" and shutil.which("redis-server") is None:
        parser.error("--server redis: redis-server is not on the path")
    configure_logs("chaos", "error")
    logging.disable(logging.WARNING)  # that the poisoner's connection was cut is no news here
    console = Console()
    plan = replace(RoundPlan(), frames=options.frames)
    results: list[RoundResult] = []
    with tempfile.TemporaryDirectory(prefix="emotion-chaos-") as temporary:
        folder = options.keep or Path(temporary)
        (folder / "server").mkdir(parents=True, exist_ok=True)
        server = TroubledServer(SERVERS[options.server], folder / "server")
        try:
            with Chaos(server, folder, seed=options.seed, pace=Pace()) as chaos:
                for number in range(1, options.rounds + 1):
                    with console.status(f"round {number} of {options.rounds}"):
                        results.append(chaos.run_round(plan))
                    console.print(_line(results[-1]))
                with console.status("draining, and judging"):
                    verdict = chaos.finish()
        except Stuck as stuck:
            console.print(f"[bold red]stuck:[/] {stuck}", soft_wrap=True)
            return 1
    console.print(_table(verdict))
    if options.out:
        figures = {
            "seed": options.seed,
            "server": options.server,
            "faults": verdict.faults,
            "figures": verdict.figures,
            "rounds": [asdict(result) for result in results],
        }
        options.out.write_text(json.dumps(figures, indent=2) + "\n")
    for fault in verdict.faults:
        console.print(f"[bold red]broken:[/] {fault}", soft_wrap=True, highlight=False)
    if not verdict.faults:
        console.print("[green]Every guarantee was kept.")
    return 1 if verdict.faults else 0


def _line(result: RoundResult) -> str:
    kills = result.faults.get("kill worker", 0)
    restarts = result.faults.get("kill server", 0) + result.faults.get("stop server", 0)
    return (
        f"round {result.number}: {result.frames:,} frames in {result.seconds:.0f} s, "
        f"{kills} worker kills, {restarts} server restarts, {sum(result.faults.values())} faults"
    )


def _table(verdict: Verdict) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in verdict.figures.items():
        table.add_row(name, f"{value:,}" if isinstance(value, int) else str(value))
    return table


if __name__ == "__main__":
    sys.exit(main())
