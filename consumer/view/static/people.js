// A tile for each person: the steady emotion, and a bar for each emotion.

import { element, setAttribute, setText, sync } from "./dom.js";
import { percent } from "./words.js";

class Bar {
  constructor(label, colour) {
    this.fill = element("span", { class: "fill" });
    this.fill.style.backgroundColor = colour;
    this.node = element(
      "div",
      { class: "bar", role: "meter", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100 },
      element("span", { class: "name" }, label),
      element("span", { class: "track" }, this.fill),
    );
  }

  update(share) {
    const width = Math.round(share * 100);
    if (this.width === width) return;
    this.width = width;
    this.fill.style.transform = `scaleX(${width / 100})`;
    setAttribute(this.node, "aria-valuenow", width);
    setAttribute(this.node, "aria-valuetext", percent(share));
  }
}

class Tile {
  constructor() {
    this.number = element("span", { class: "chip" });
    this.label = element("span", { class: "label" });
    this.bars = element("div", { class: "bars" });
    this.known = new Map();
    this.node = element(
      "li",
      { class: "person" },
      element("p", { class: "who" }, this.number, this.label),
      this.bars,
    );
  }

  update({ track, voice, label, seen, scores }, labels) {
    this.node.style.gridColumn = voice; // stays where it is when somebody else leaves
    setText(this.number, String(track));
    setText(this.label, label);
    this.number.style.backgroundColor = labels[label]?.colour ?? "gray";
    this.node.classList.toggle("unseen-now", !seen);
    const names = Object.keys(labels).filter((name) => name in scores);
    sync(
      this.bars,
      this.known,
      names,
      (name) => name,
      (name) => {
        const bar = new Bar(name, labels[name].colour);
        return { node: bar.node, update: (item) => bar.update(this.scores[item]) };
      },
      (this.scores = scores),
    );
  }
}

export class People {
  constructor(source) {
    this.node = element("ul", { class: "people", tabindex: 0, "aria-label": `People in ${source}` });
    this.known = new Map();
    this.nobody = element("li", { class: "nobody" });
  }

  update(people, labels, why) {
    if (people.length > 0) this.nobody.remove();
    sync(
      this.node,
      this.known,
      people,
      (person) => person.track,
      () => {
        const tile = new Tile();
        return { node: tile.node, update: (person) => tile.update(person, labels) };
      },
    );
    if (people.length === 0) {
      setText(this.nobody, why);
      if (!this.nobody.isConnected) this.node.append(this.nobody);
    }
  }
}
