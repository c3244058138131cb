// Valence and arousal of the people of a source: Russell's plane, with where each has been lately.

import { drawing, setAttribute } from "./dom.js";
import { feeling, signed } from "./words.js";

const TRAIL_MS = 20000;
const EVERY_MS = 150; // between two points of a trail
const PIECES = 8; // a trail fades in so many steps

const x = (valence) => (valence * 100).toFixed(1);
const y = (arousal) => (-arousal * 100).toFixed(1);

class Trail {
  constructor() {
    this.points = [];
    this.pieces = Array.from({ length: PIECES }, (_, at) =>
      drawing("polyline", { class: "trail", opacity: ((at + 1) / PIECES) ** 1.3 * 0.9 }),
    );
    this.dot = drawing("circle", { class: "dot", r: 9 });
    this.number = drawing("text", { class: "number", "text-anchor": "middle", dy: "0.35em" });
    this.lines = drawing("g", {}, ...this.pieces);
    this.head = drawing("g", {}, this.dot, this.number);
  }

  add({ at, label }, now) {
    const last = this.points.at(-1);
    if (last === undefined || now - last.when >= EVERY_MS) this.points.push({ at, label, when: now });
    while (this.points[0].when < now - TRAIL_MS) this.points.shift();
  }

  draw(person, labels, now) {
    const colour = (label) => labels[label]?.colour ?? "gray";
    const lines = this.pieces.map(() => []);
    const age = (point) => Math.min(0.999, (now - point.when) / TRAIL_MS);
    for (const point of this.points) lines[PIECES - 1 - Math.floor(age(point) * PIECES)].push(point);
    // Each piece goes on to where the next one begins.
    let next = person;
    for (let at = PIECES - 1; at >= 0; at--) {
      const line = lines[at];
      const places = [...line, next].map((point) => `${x(point.at[0])},${y(point.at[1])}`);
      setAttribute(this.pieces[at], "points", line.length > 0 ? places.join(" ") : "");
      this.pieces[at].style.color = colour(next.label);
      next = line[0] ?? next;
    }
    this.head.style.color = colour(person.label);
    for (const node of [this.lines, this.head]) node.classList.toggle("unseen-now", !person.seen);
    setAttribute(this.dot, "cx", x(person.at[0]));
    setAttribute(this.dot, "cy", y(person.at[1]));
    setAttribute(this.number, "x", x(person.at[0]));
    setAttribute(this.number, "y", y(person.at[1]));
    if (this.number.textContent !== String(person.track)) this.number.textContent = person.track;
  }
}

export class Plane {
  constructor() {
    const word = (text, at, anchor) =>
      drawing("text", { class: "axis", x: at[0], y: at[1], "text-anchor": anchor }, text);
    this.marks = drawing("g");
    this.trails = new Map();
    this.lines = drawing("g");
    this.heads = drawing("g"); // above the lines of others
    this.room = drawing("path", { class: "room", d: "M0-11 11 0 0 11-11 0Z" });
    this.node = drawing(
      "svg",
      { class: "plane", viewBox: "-106 -106 212 212", role: "img", "aria-label": "nobody" },
      drawing("circle", { class: "rim", r: 100 }),
      drawing("path", { class: "cross", d: "M-100 0H100M0-100V100" }),
      word("excited", [4, -84], "start"),
      word("calm", [4, 94], "start"),
      word("pleasant", [97, -5], "end"),
      word("unpleasant", [-97, -5], "start"),
      this.marks,
      this.lines,
      this.heads,
      this.room,
    );
    this.described = 0;
  }

  // The trails go on also while nobody sees them drawn.
  follow(people, now) {
    const present = new Set(people.map((person) => person.track));
    for (const [track, trail] of this.trails) {
      if (!present.has(track)) {
        trail.lines.remove();
        trail.head.remove();
        this.trails.delete(track);
      }
    }
    for (const person of people) {
      if (!this.trails.has(person.track)) {
        const trail = new Trail();
        this.trails.set(person.track, trail);
        this.lines.append(trail.lines);
        this.heads.append(trail.head);
      }
      this.trails.get(person.track).add(person, now);
    }
  }

  draw(people, room, labels, now) {
    this.drawMarks(labels);
    for (const person of people) {
      this.trails.get(person.track).draw(person, labels, now);
    }
    this.room.style.display = room && people.length > 1 ? "" : "none";
    if (room) setAttribute(this.room, "transform", `translate(${x(room[0])} ${y(room[1])})`);
    if (now - this.described >= 1000) {
      this.described = now;
      const said = people.map(
        ({ track, at }) =>
          `person ${track}: ${feeling(at)}, valence ${signed(at[0])}, arousal ${signed(at[1])}`,
      );
      setAttribute(this.node, "aria-label", said.join("; ") || "nobody");
    }
  }

  // Where each emotion of the model lies.
  drawMarks(labels) {
    const placed = Object.entries(labels).filter(([, { at }]) => at !== null);
    if (this.marks.children.length === placed.length) return;
    this.marks.replaceChildren(
      ...placed.map(([name, { colour, at }]) => {
        const mark = drawing("circle", { class: "mark", cx: x(at[0]), cy: y(at[1]), r: 4 });
        mark.append(drawing("title", {}, name));
        mark.style.color = colour;
        return mark;
      }),
    );
  }
}
