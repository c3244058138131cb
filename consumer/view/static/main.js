// The page: follows the server's events, and draws the newest state.

import { Card } from "./card.js";
import { element, setText, sync } from "./dom.js";
import { duration, milliseconds } from "./words.js";

const LOST_AFTER_MS = 8000; // the server gives a sign of life every 2 s
const RETRY_MS = 2000;

const find = (selector) => document.querySelector(selector);
const banner = find(".banner");
const empty = find(".empty");
const grid = find(".grid");
const legend = find(".legend");
const facts = Object.fromEntries(
  [...document.querySelectorAll("[data-fact]")].map((node) => [node.dataset.fact, node]),
);

const cards = new Map();
const marks = new Map();
const states = new Map(); // of sources, to tell what has changed
let stream = null;
let newest = null;
let isDue = false;
let isLost = false;
let heard = 0;
let waiting = null;

const watcher = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) target.card.isOnScreen = isIntersecting;
    ask();
  },
  { rootMargin: "200px" },
);

function ask() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    drawBanner();
    if (newest !== null) draw(newest);
  });
}

function draw(state) {
  drawFacts(state);
  drawEmpty(state);
  drawLegend(state.labels);
  grid.dataset.count = Math.min(state.sources.length, 7);
  sync(
    grid,
    cards,
    state.sources,
    (source) => source.name,
    (source) => {
      const card = new Card(source, watcher);
      return { node: card.node, update: (item) => card.update(item, newest) };
    },
  );
  const notes = [];
  if (state.left_out > 0) notes.push(`${state.left_out} more sources are not shown.`);
  if (state.dead > 0) notes.push(`${state.dead} frames could not be analysed: emotion-worker dead list`);
  setText(find(".notes"), notes.join(" "));
  tellNews(state);
}

function drawFacts(state) {
  const { sources, latency } = state;
  const up = sources.filter((source) => source.state === "up").length;
  const people = sources.reduce((sum, source) => sum + source.people.length, 0);
  const number = (value) => (value === null ? "–" : value.toLocaleString("en"));
  setText(facts.sources, `${up} of ${sources.length}`);
  setText(facts.people, String(people));
  setText(facts.rate, state.rate.toFixed(1));
  setText(facts.latency, `${milliseconds(latency[0])} / ${milliseconds(latency[1])}`);
  setText(facts.backlog, number(state.backlog));
  setText(facts.workers, number(state.workers));
  facts.workers.classList.toggle("bad", state.workers === 0 && up > 0);
}

function drawBanner() {
  const isAway = newest?.redis.state === "away";
  let words = "";
  if (isLost) {
    words = "emotion-view does not answer. This page goes on by itself when it is back.";
  } else if (isAway && newest.sources.length > 0) {
    words = `Redis at ${newest.server} has not answered for ${duration(newest.redis.for)}. This page goes on by itself when it does.`;
  }
  banner.hidden = words === "";
  setText(banner, words);
  document.body.classList.toggle("stale", isLost || isAway);
}

function drawEmpty({ redis, server, sources }) {
  empty.hidden = sources.length > 0 || redis.state === "unknown";
  if (empty.hidden || empty.dataset.why === redis.state) return;
  empty.dataset.why = redis.state;
  const code = (text) => element("code", {}, text);
  if (redis.state === "away") {
    empty.replaceChildren(
      element("h2", {}, "No Redis yet"),
      element("p", {}, "Nothing answers at ", code(server), "."),
      element("p", {}, "Start one with ", code("redis-server"), ", or the whole system with"),
      element("p", {}, code("emotion-up 0 --view")),
      element("p", {}, "Another one? ", code("emotion-view --redis URL")),
    );
    return;
  }
  empty.replaceChildren(
    element("h2", {}, "No sources yet"),
    element("p", {}, "Start a producer, and a worker that looks at its frames:"),
    element("p", {}, code("emotion-producer 0"), " for the first camera, or a video file or an RTSP address"),
    element("p", {}, code("emotion-worker")),
    element("p", {}, `They appear here by themselves. Watching ${server}.`),
  );
}

function drawLegend(labels) {
  sync(
    legend,
    marks,
    Object.entries(labels),
    ([name]) => name,
    ([name, { colour }]) => {
      const dot = element("span", { class: "swatch" });
      dot.style.backgroundColor = colour;
      return { node: element("li", {}, dot, name), update: () => {} };
    },
  );
}

// For those who hear the page: only what a person would be told.
function tellNews({ sources }) {
  const news = [];
  for (const { name, state } of sources) {
    if (states.has(name) && states.get(name) !== state) news.push(`${name} is ${state}`);
    states.set(name, state);
  }
  if (news.length > 0) setText(find("[data-news]"), news.join(", "));
}

function connect() {
  clearTimeout(waiting);
  stream?.close();
  heard = performance.now();
  stream = new EventSource("events");
  stream.onmessage = ({ data }) => {
    heard = performance.now();
    isLost = false;
    newest = JSON.parse(data);
    ask();
  };
  stream.onerror = () => {
    isLost = true;
    ask();
    // After a refusal no browser tries again by itself.
    if (stream.readyState === EventSource.CLOSED) waiting = setTimeout(connect, RETRY_MS);
  };
}

// A page that nobody sees costs nothing.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) return connect();
  clearTimeout(waiting);
  stream.close();
});
setInterval(() => {
  if (document.hidden || performance.now() - heard < LOST_AFTER_MS) return;
  isLost = true;
  ask();
  connect();
}, 1000);
connect();
