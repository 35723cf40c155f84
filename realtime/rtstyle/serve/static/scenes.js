// Scenes: those of the server's file, and looks that this browser keeps.

const STORE = "rtstyle-looks", MOST = 40;

export class Scenes {
  #server = [];
  #own = [];
  #at = -1;

  // `apply` gets the values of a scene; `present` returns a name and the values of now.
  constructor(list, apply, present) {
    this.list = list;
    this.apply = apply;
    this.present = present;
    try { this.#own = JSON.parse(localStorage.getItem(STORE) ?? "[]"); } catch { /* blocked or damaged */ }
    if (!Array.isArray(this.#own)) this.#own = [];
  }

  load(scenes) {
    this.#server = scenes;
    this.#draw();
  }

  get length() { return this.#server.length + this.#own.length; }

  next() {
    if (!this.length) return "There are no scenes";
    return this.show((this.#at + 1) % this.length);
  }

  show(at) {
    const scene = [...this.#server, ...this.#own][at];
    if (!scene) return "";
    this.#at = at;
    this.apply(scene.values);
    this.#mark();
    return scene.name;
  }

  keep() {
    if (this.#own.length >= MOST) return `This browser keeps ${MOST} looks; remove one first`;
    const { name, values } = this.present(), taken = new Set(this.#own.map((one) => one.name));
    let free = name;
    for (let number = 2; taken.has(free); number += 1) free = `${name} ${number}`;
    this.#own.push({ name: free, values });
    this.#at = this.length - 1;
    this.#store();
    return `Kept ${free}`;
  }

  #remove(index) {
    this.#own.splice(index, 1);
    this.#at = -1;
    this.#store();
    this.list.parentElement.querySelector("#keep-look").focus();
  }

  #store() {
    try { localStorage.setItem(STORE, JSON.stringify(this.#own)); } catch { /* storage is blocked */ }
    this.#draw();
  }

  #draw() {
    this.list.replaceChildren(...[...this.#server, ...this.#own].map((scene, at) => {
      const own = at - this.#server.length, row = document.createElement("span");
      row.append(button(scene.name, "small", () => this.show(at)));
      if (own >= 0) {
        const remove = button("×", "small remove", () => this.#remove(own));
        remove.setAttribute("aria-label", `Remove ${scene.name}`);
        row.append(remove);
      }
      return row;
    }));
    this.#mark();
  }

  #mark() {
    [...this.list.children].forEach((row, at) => row.firstChild.setAttribute("aria-pressed", String(at === this.#at)));
  }
}

function button(textContent, className, onclick) {
  return Object.assign(document.createElement("button"), { type: "button", textContent, className, onclick });
}
