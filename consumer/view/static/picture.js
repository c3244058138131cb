// The newest picture of a source with the boxes that belong to it. Two images take turns: the next
// one loads behind the one that is seen.

import { element, setText, sync } from "./dom.js";

class Face {
  constructor() {
    this.name = element("span", { class: "tag" });
    this.node = element("div", { class: "box" }, this.name);
  }

  place([left, top, right, bottom], [width, height]) {
    const share = (part, whole) => `${((100 * part) / whole).toFixed(2)}%`;
    this.node.style.left = share(left, width);
    this.node.style.top = share(top, height);
    this.node.style.width = share(right - left, width);
    this.node.style.height = share(bottom - top, height);
    // No room above: the name goes inside.
    this.node.classList.toggle("at-top", top / height < 0.08);
    this.node.classList.toggle("at-right", left / width > 0.7);
  }
}

export class Picture {
  constructor(source) {
    this.images = [element("img", { alt: "" }), element("img", { alt: "" })];
    this.front = 0;
    this.boxes = element("div", { class: "boxes" });
    this.known = new Map();
    this.words = element("p", { class: "words" });
    this.node = element(
      "div",
      { class: "picture", role: "img", "aria-label": `Picture of ${source}` },
      ...this.images,
      this.boxes,
      this.words,
    );
    this.shownId = null;
    this.isLoading = false;
  }

  say(words) {
    setText(this.words, words);
  }

  // Takes the newest when the one before is there: a slow connection sees fewer, none late.
  async show(picture, labels) {
    if (picture === null || this.isLoading || picture.id === this.shownId) return;
    this.isLoading = true;
    const back = this.images[1 - this.front];
    try {
      back.src = `frame?id=${encodeURIComponent(picture.id)}`;
      await back.decode();
    } catch {
      return; // it has left the page meanwhile
    } finally {
      this.isLoading = false;
    }
    this.shownId = picture.id;
    this.node.style.setProperty("--ratio", picture.size[0] / picture.size[1]);
    this.images[this.front].classList.remove("front");
    back.classList.add("front");
    this.front = 1 - this.front;
    this.node.dataset.frame = picture.id;
    this.drawBoxes(picture, labels);
  }

  drawBoxes({ people, rejected, size }, labels) {
    const faces = [
      ...people.map((person) => ({ ...person, key: `person ${person.track}` })),
      ...rejected.map((face, at) => ({ ...face, key: `rejected ${at}` })),
    ];
    sync(
      this.boxes,
      this.known,
      faces,
      (face) => face.key,
      () => {
        const face = new Face();
        return {
          node: face.node,
          update: (now) => {
            const isPerson = "track" in now;
            face.place(now.box, size);
            face.node.classList.toggle("rejected", !isPerson);
            face.node.classList.toggle("unseen-now", isPerson && !now.seen);
            face.node.style.setProperty("--colour", labels[now.label]?.colour ?? "gray");
            setText(face.name, isPerson ? `${now.track} ${now.label}` : `not a person: ${now.reason}`);
          },
        };
      },
    );
  }
}
