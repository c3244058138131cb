"""The live page in a real Chromium while a clip plays through the real producer and worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from consumer.chain import ChainOptions
from consumer.people.gate import GateOptions
from consumer.view.live import LiveView
from tests.integration.browser import Browser, chromium
from tests.integration.hand_camera import Camera
from tests.integration.processes import RoleProcess
from tests.integration.servers import TroubledServer

Wait = Callable[..., None]

TRAIL = (
    "[...document.querySelectorAll('.trail')].map(line => line.getAttribute('points')).join('|')"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TroubledServer]:
    with TroubledServer("valkey", tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="module")
def playing(server: TroubledServer, browser: Browser, demo_clip: Path) -> Iterator[LiveView]:
    """The demo clip, over and over."""
    service = ("--redis", server.url, "--metrics-port", "0")
    with ExitStack() as stack:
        worker = stack.enter_context(RoleProcess("worker", *service))
        worker.log("ready", 120)
        clip = (str(demo_clip), "--loop", "--source-id", "lobby")
        stack.enter_context(RoleProcess("producer", *clip, *service))
        yield stack.enter_context(LiveView(server.url, port=0))


@pytest.fixture
def page(playing: LiveView, browser: Browser) -> Browser:
    browser.open(playing.url)
    return browser


def test_somebody_is_seen_with_a_box_and_a_label_and_the_trail_moves(
    page: Browser, playing: LiveView, wait_until: Wait
) -> None:
    wait_until(lambda: page.texts(".box:not(.rejected) .tag"), 60, "a face in a box")
    wait_until(
        lambda: page.run("document.querySelector('.picture img.front')?.naturalWidth") == 640
    )
    wait_until(lambda: page.run(TRAIL).count(",") > 3, 30, "a trail")
    (name,) = page.texts(".card h2")
    assert name == "lobby"
    before = page.run(TRAIL)
    wait_until(lambda: page.run(TRAIL).count(",") > 3 and page.run(TRAIL) != before, 30, "it moves")
    labels = set(page.texts(".legend li"))
    assert {"neutral", "happiness", "anger"} <= labels

    def is_named() -> bool:
        tags = page.texts(".box:not(.rejected) .tag")
        return bool(tags) and all(tag.split(" ", 1)[1] in labels for tag in tags)

    wait_until(is_named, 30, "boxes are named by track and emotion")
    assert page.errors() == []
    assert page.hosts_asked() == {playing.url.removeprefix("http://").rstrip("/")}


def test_a_box_lies_on_the_face_in_the_picture_it_is_drawn_on(
    page: Browser, wait_until: Wait
) -> None:
    inside = """(() => {
      const box = document.querySelector('.box:not(.rejected)')?.getBoundingClientRect();
      const image = document.querySelector('.picture img.front')?.getBoundingClientRect();
      return box && image && box.width > 20 && box.left >= image.left - 1
        && box.right <= image.right + 1 && box.top >= image.top - 1
        && box.bottom <= image.bottom + 1;
    })()"""
    wait_until(lambda: page.run(inside) is True, 60, "a box inside of the picture")


def test_pictures_and_numbers_go_on(page: Browser, wait_until: Wait) -> None:
    frames: set[str] = set()

    def is_enough() -> bool:
        frames.add(page.run("document.querySelector('.picture')?.dataset.frame ?? ''"))
        return len(frames - {""}) >= 4

    wait_until(is_enough, 30, "four pictures")
    wait_until(lambda: page.texts("[data-fact=rate]")[0] not in ("–", "0.0"), 30, "a rate")
    assert page.texts("[data-fact=sources]") == ["1 of 1"]
    assert page.texts("[data-fact=workers]") == ["1"]
    assert page.texts("[data-fact=latency]")[0].count("ms") == 2


def test_nothing_jumps_while_people_come_and_go(page: Browser, wait_until: Wait) -> None:
    wait_until(lambda: page.texts(".person"), 60, "a person")
    page.run(
        """(() => { window.shift = 0; window.tracks = new Set();
        new PerformanceObserver(list => {
          for (const entry of list.getEntries()) {
            // Boxes go with their faces; all else stays where it is.
            if (!entry.sources.every(({node}) => node?.parentElement?.closest('.boxes')))
              window.shift += entry.value;
          }
        }).observe({type: 'layout-shift'});
        setInterval(() => document.querySelectorAll('.chip').forEach(
          chip => window.tracks.add(chip.innerText)), 50); })()"""
    )
    wait_until(lambda: page.run("window.tracks.size") >= 3, 60, "three people, one after another")
    assert page.run("window.shift") < 0.01


@pytest.mark.parametrize(("width", "height"), [(390, 844), (320, 640), (768, 1024), (2560, 1440)])
def test_no_window_needs_to_be_scrolled_sideways(
    playing: LiveView, browser: Browser, wait_until: Wait, width: int, height: int
) -> None:
    browser.open(playing.url, width=width, height=height)
    wait_until(lambda: browser.texts(".person"), 60, "a person")
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run("document.querySelector('.plane').getBoundingClientRect().width") > 100


def test_it_is_light_or_dark_as_the_machine_is_and_readable_in_both(
    page: Browser, wait_until: Wait
) -> None:
    contrast = """(() => {
      const light = (colour) => {
        const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3)
          .map(Number).map(c => c / 255)
          .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const behind = (node) => {
        for (; node; node = node.parentElement) {
          const colour = getComputedStyle(node).backgroundColor;
          if (!/, 0\\)$/.test(colour)) return colour;
        }
        return 'rgb(255, 255, 255)';
      };
      return Object.fromEntries(
        ['.top dt', '.top dd', '.card h2', '.badge', '.rate', '.label', '.legend li',
         '.tag', '.chip', '.mood-words']
          .map(name => [name, document.querySelector(name)]).filter(([, node]) => node)
          .map(([name, node]) => {
            const [a, b] = [getComputedStyle(node).color, behind(node)].map(light)
              .sort((p, q) => q - p);
            return [name, (a + 0.05) / (b + 0.05)];
          }));
    })()"""
    backgrounds = set()
    for scheme in ("light", "dark"):
        page.prefer(scheme)
        wait_until(lambda: page.texts(".person") and page.texts(".tag"), 60, "a person")
        found = page.run(contrast)
        assert len(found) >= 8
        assert {name: ratio for name, ratio in found.items() if ratio < 4.5} == {}
        backgrounds.add(page.run("getComputedStyle(document.body).backgroundColor"))
    assert len(backgrounds) == 2


def test_it_can_be_heard_and_used_without_a_mouse(page: Browser, wait_until: Wait) -> None:
    wait_until(lambda: page.texts(".person"), 60, "a person")
    assert page.run("document.documentElement.lang") == "en"
    assert page.run("document.querySelectorAll('h1').length") == 1
    named = "document.querySelector('article').getAttribute('aria-labelledby')"
    assert page.run(f"document.getElementById({named}).innerText") == "lobby"
    meters = page.run(
        "[...document.querySelectorAll('.person [role=meter]')].map("
        "bar => [bar.ariaLabel, Number(bar.ariaValueNow)])"
    )
    assert len(meters) % 8 == 0
    assert 95 <= sum(now for _, now in meters[:8]) <= 105
    wait_until(
        lambda: "valence" in page.run("document.querySelector('.plane').ariaLabel"), 30, "said"
    )
    # A list that can be scrolled can be reached by Tab.
    assert page.run("document.querySelector('.people').tabIndex") == 0


def test_a_face_that_is_no_person_is_drawn_dashed_with_the_reason(
    browser: Browser, server: TroubledServer, wait_until: Wait
) -> None:
    camera = Camera(server.client, prefix="printed")
    strict = ChainOptions(gate=GateOptions(small_px=9999.0))
    live = LiveView(server.url, port=0, prefix="printed", chain=strict)
    with live as view, camera.running():
        browser.open(view.url)
        wait_until(lambda: browser.texts(".box .tag") == ["not a person: small"], 30, "the box")
        style = "getComputedStyle(document.querySelector('.box')).borderTopStyle"
        assert browser.run(style) == "dashed"
        assert browser.texts(".person") == []
        assert browser.texts(".nobody") == ["nobody in the picture"]
        assert browser.errors() == []


def test_redis_that_goes_away_is_said_and_the_page_heals(
    page: Browser, server: TroubledServer, wait_until: Wait
) -> None:
    wait_until(lambda: page.texts(".card"), 30, "a card")
    server.kill()
    wait_until(lambda: "has not answered for" in page.texts(".banner")[0], 30, "the banner")
    server.start()
    wait_until(lambda: not page.texts(".banner")[0], 30, "the banner goes")
    before = page.run("document.querySelector('.picture').dataset.frame")
    wait_until(
        lambda: page.run("document.querySelector('.picture').dataset.frame") != before,
        60,
        "new pictures",
    )


def test_a_page_whose_server_ends_says_so_and_goes_on_when_it_is_back(
    browser: Browser, server: TroubledServer, wait_until: Wait
) -> None:
    with LiveView(server.url, port=0, prefix="nobody") as first:
        browser.open(first.url)
        wait_until(lambda: browser.texts(".empty h2") == ["No sources yet"], 30, "the state")
        assert "emotion-producer 0" in browser.texts(".empty")[0]
        assert browser.errors() == []
    wait_until(lambda: "does not answer" in browser.texts(".banner")[0], 30, "the banner")
    with LiveView(server.url, port=first.port, prefix="nobody"):
        wait_until(lambda: not browser.texts(".banner")[0], 30, "the banner goes")


def test_without_redis_the_page_says_what_to_start(browser: Browser, wait_until: Wait) -> None:
    with LiveView("redis://:secret@127.0.0.1:1", port=0) as view:
        browser.open(view.url)
        wait_until(lambda: browser.texts(".empty h2") == ["No Redis yet"], 30, "the state")
        words = browser.texts(".empty")[0]
        assert "redis-server" in words
        assert "127.0.0.1:1" in words
        assert "secret" not in browser.run("document.documentElement.outerHTML")
