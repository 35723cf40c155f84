// A mask drawn on the picture: cells of 0 and 1, sent as bits. Where it is 1 the picture is painted.

const SHADE = "rgb(6 10 9 / .55)";

export class Mask {
  #cells = null;
  #drawn = false;
  #open = false;
  #last = null;

  // `size` is { rows, columns }; `changed` gets the bits in base64, "" for no mask.
  constructor(canvas, video, parts, changed) {
    this.canvas = canvas;
    this.video = video;
    this.parts = parts;
    this.changed = changed;
    this.size = { rows: 72, columns: 96 };
    parts.draw.addEventListener("click", () => (this.#open ? this.done() : this.open()));
    parts.done.addEventListener("click", () => this.done());
    parts.clear.addEventListener("click", () => this.clear());
    parts.middle.addEventListener("click", () => this.#fill(inEllipse));
    parts.invert.addEventListener("click", () => this.#fill((_, __, now) => !now));
    parts.brush.addEventListener("input", () => this.#label());
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.#last = null;
      this.#stroke(event);
    });
    canvas.addEventListener("pointermove", (event) => { if (event.buttons) this.#stroke(event); });
    this.#label();
  }

  get drawn() { return this.#drawn; }

  // The bits, row by row, the first one in the highest place of a byte.
  value() {
    if (!this.#drawn) return "";
    let text = "";
    for (let at = 0; at < this.#cells.length; at += 8) {
      let byte = 0;
      for (let bit = 0; bit < 8; bit += 1) byte = 2 * byte + this.#cells[at + bit];
      text += String.fromCharCode(byte);
    }
    return btoa(text);
  }

  // What the key does: take the mask away, or draw one.
  toggle() {
    if (this.#drawn) { this.clear(); return "Mask cleared"; }
    if (this.parts.draw.disabled) return "";
    this.open();
    return "Draw a mask on the picture";
  }

  open() {
    this.#open = true;
    this.#cells ??= new Uint8Array(this.size.rows * this.size.columns);
    this.#show();
  }

  done() {
    this.#open = false;
    this.#show();
  }

  clear() {
    this.#cells?.fill(0);
    this.#drawn = this.#open = false;
    this.#show();
    this.changed("");
  }

  #label() { this.parts.brush.previousElementSibling.textContent = `${this.parts.brush.value} %`; }

  #fill(rule) {
    const { rows, columns } = this.size;
    for (let at = 0; at < this.#cells.length; at += 1) {
      const x = (at % columns + 0.5) / columns, y = (Math.floor(at / columns) + 0.5) / rows;
      this.#cells[at] = rule(x, y, this.#cells[at]) ? 1 : 0;
    }
    this.#told();
  }

  #told() {
    this.#drawn = true;
    this.#show();
    this.changed(this.value());
  }

  // The place of a pointer in the picture, 0 to 1, which may be letterboxed and mirrored.
  #place(event) {
    const box = this.canvas.getBoundingClientRect(), ratio = this.canvas.width / this.canvas.height;
    const width = Math.min(box.width, box.height * ratio), height = width / ratio;
    const x = (event.clientX - box.left - (box.width - width) / 2) / width;
    const y = (event.clientY - box.top - (box.height - height) / 2) / height;
    return { x: this.parts.mirrored() ? 1 - x : x, y };
  }

  #stroke(event) {
    const to = this.#place(event), from = this.#last ?? to;
    this.#last = to;
    const far = Math.hypot(to.x - from.x, to.y - from.y), steps = Math.ceil(far * this.size.columns) || 1;
    for (let step = 1; step <= steps; step += 1) {
      const t = step / steps;
      this.#dab(from.x + t * (to.x - from.x), from.y + t * (to.y - from.y));
    }
    this.#told();
  }

  #dab(x, y) {
    const { rows, columns } = this.size, value = this.parts.erase.checked ? 0 : 1;
    const ratio = this.canvas.width / this.canvas.height, radius = this.parts.brush.value / 200;
    for (let at = 0; at < this.#cells.length; at += 1) {
      const across = (at % columns + 0.5) / columns - x, down = ((Math.floor(at / columns) + 0.5) / rows - y) / ratio;
      if (across * across + down * down <= radius * radius) this.#cells[at] = value;
    }
  }

  #show() {
    const { draw, clear, tools } = this.parts;
    draw.setAttribute("aria-pressed", String(this.#open));
    draw.textContent = this.#open ? "Drawing" : "Draw";
    clear.hidden = !this.#drawn;
    tools.hidden = !this.#open;
    this.canvas.hidden = !this.#open;
    if (!this.#open) return;
    this.canvas.width = this.video.videoWidth || 640;
    this.canvas.height = this.video.videoHeight || 480;
    const context = this.canvas.getContext("2d"), { rows, columns } = this.size;
    const wide = this.canvas.width / columns, high = this.canvas.height / rows;
    context.fillStyle = SHADE;
    // On whole pixels: between soft edges a grid would shine through.
    this.#cells.forEach((cell, at) => {
      const column = at % columns, row = Math.floor(at / columns), left = Math.round(column * wide), top = Math.round(row * high);
      if (!cell) context.fillRect(left, top, Math.round((column + 1) * wide) - left, Math.round((row + 1) * high) - top);
    });
  }
}

function inEllipse(x, y) { return ((x - 0.5) / 0.3) ** 2 + ((y - 0.5) / 0.42) ** 2 <= 1; }
