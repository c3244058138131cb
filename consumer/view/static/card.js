// Everything about one source.

import { element, setText } from "./dom.js";
import { People } from "./people.js";
import { Picture } from "./picture.js";
import { Plane } from "./plane.js";
import { duration, feeling, milliseconds, signed } from "./words.js";

const SILENT_S = 3;
let cards = 0;

export class Card {
  constructor({ name }, watcher) {
    const id = `card-${++cards}`;
    this.badge = element("span", { class: "badge" });
    this.rate = element("span", { class: "rate" });
    this.latency = element("span", { title: "from capture to event: half of all are faster" });
    this.slowest = element("span", { class: "slowest", title: "95 % of all are faster" });
    this.facts = element("span", { class: "facts" }, this.rate, this.latency, this.slowest);
    this.picture = new Picture(name);
    this.plane = new Plane();
    this.room = element("p", { class: "mood-words" });
    this.people = new People(name);
    this.node = element(
      "article",
      { class: "card", "aria-labelledby": id },
      element(
        "header",
        {},
        element("h2", { id, title: name }, name),
        this.badge,
        this.facts,
      ),
      element(
        "div",
        { class: "inside" },
        element("div", { class: "stage" }, this.picture.node),
        element("div", { class: "mood" }, this.plane.node, this.room),
        this.people.node,
      ),
    );
    this.node.card = this;
    this.isOnScreen = false;
    watcher.observe(this.node);
  }

  update(source, state) {
    const now = performance.now();
    this.plane.follow(source.people, now);
    if (!this.isOnScreen) return; // nor is its picture fetched
    const { labels } = state;
    const [p50, p95] = source.latency;
    const isSilent = source.state === "up" && source.silent > SILENT_S;
    const mark = isSilent ? "silent" : source.state;
    this.node.dataset.state = mark;
    setText(this.badge, isSilent ? `silent for ${duration(source.silent)}` : said(source));
    this.facts.hidden = source.state !== "up" || isSilent;
    setText(this.rate, `${source.rate.toFixed(1)} frames/s`);
    setText(this.latency, milliseconds(p50));
    setText(this.slowest, `p95 ${milliseconds(p95)}`);
    this.picture.show(source.picture, labels);
    this.picture.say(advice(source, isSilent, state, this.picture.shownId));
    this.plane.draw(source.people, source.room, labels, now);
    setText(
      this.room,
      source.room
        ? `${source.people.length > 1 ? "◆ " : ""}${source.room.map(signed).join(" / ")}\n${feeling(source.room)}`
        : "",
    );
    this.people.update(source.people, labels, source.state === "up" ? "nobody in the picture" : "");
  }
}

function said(source) {
  if (source.state === "up") return "up";
  return `${source.state} for ${duration(source.for)}`.replace("ended for", "ended");
}

function advice(source, isSilent, state, shownId) {
  if (source.state === "offline") return "The camera is gone. Its producer keeps trying.";
  if (isSilent && state.workers === 0 && state.backlog > 0) {
    return "Frames wait, and no worker is running. Start one: emotion-worker";
  }
  if (isSilent) return "No events come. Is its producer still running?";
  if (shownId === null) return source.state === "up" ? "waiting for a picture" : "no picture";
  return "";
}
