// The gallery: one style is chosen, or some are blended by sliders. Tells what is chosen.

const MOST = 4, EVEN = 50;

export class Gallery {
  revision = -1;
  takesPictures = false;
  #styles = [];
  #rows = new Map();

  constructor(form, plaque, changed) {
    this.form = form;
    this.plaque = plaque;
    this.changed = changed;
    this.wall = form.querySelector("#gallery");
    this.mix = form.querySelector("#mix");
    this.switch = form.blend;
    form.addEventListener("input", (event) => this.#heard(event.target));
  }

  // Fetches what hangs on the server. A name that has gone is no longer chosen.
  async load() {
    const response = await fetch("/api/config");
    const config = await response.json();
    if (!response.ok) throw new Error(config.error);
    if (config.gallery === this.revision) return config;
    const begins = this.revision < 0;
    this.revision = config.gallery;
    this.takesPictures = config.pictures;
    this.form.querySelector("#add").hidden = !config.pictures;
    this.switch.closest("label").hidden = config.styles.filter((style) => style.mixes).length < 2;
    this.#styles = [...config.styles.filter((style) => style.picture).reverse(),
      ...config.styles.filter((style) => !style.picture)];
    const before = JSON.stringify(this.value());
    this.#hang();
    if (begins) this.switch.checked = false;
    if (!this.#picked().length) this.#begin(config.style);
    this.#arrange();
    if (!begins && JSON.stringify(this.value()) !== before) this.changed(this.value());
    return config;
  }

  // What names a recording, or a look that is kept.
  get title() { return this.#picked().map(short).join(" + "); }

  // Takes a style as the server gives it; returns whether all of it is here.
  put(style) {
    const names = typeof style === "string" ? [style] : Object.keys(style);
    if (!names.length || names.some((name) => !this.#styles.some((one) => one.name === name))) return false;
    this.#begin(style);
    this.#tell();
    return true;
  }

  // What the server takes as the style; nothing while every slider is at zero.
  value() {
    const picked = this.#picked();
    if (picked.length < 2) return picked[0]?.name;
    const parts = picked.map((style) => [style.name, this.#weight(style)]);
    return parts.some(([, weight]) => weight) ? Object.fromEntries(parts) : undefined;
  }

  // Chooses a style; while styles are blended and there is room, it joins them.
  add(name) {
    const input = this.#inputs().find((one) => one.value === name);
    if (!input) return;
    if (this.switch.checked && this.#picked().length < MOST) input.checked = true;
    else this.#only(name);
    this.#tell();
  }

  step(by) {
    const at = this.#styles.indexOf(this.#heaviest());
    return this.choose((at + by + this.#styles.length) % this.#styles.length);
  }

  // Shows one style alone.
  choose(index) {
    const input = this.#inputs()[index];
    if (!input) return "";
    this.#only(input.value);
    this.#tell();
    return this.#styles[index].title;
  }

  toggleBlend() {
    if (this.switch.closest("label").hidden) return "";
    this.switch.checked = !this.switch.checked;
    this.#heard(this.switch);
    return `Blend ${this.switch.checked ? "on" : "off"}`;
  }

  #inputs() { return [...this.form.querySelectorAll("input[name=style]")]; }

  #picked() {
    const names = new Set(this.#inputs().filter((one) => one.checked).map((one) => one.value));
    return this.#styles.filter((style) => names.has(style.name));
  }

  #weight(style) { return Number(this.#rows.get(style.name)?.slider.value ?? EVEN); }

  #heaviest() {
    return this.#picked().reduce((best, one) => (best && this.#weight(best) >= this.#weight(one) ? best : one), null);
  }

  #heard(input) {
    if (input === this.switch) this.#turn();
    else if (input.name === "style") {
      // A blend has one style at least.
      if (!this.#picked().length) input.checked = true;
      this.#tell();
    } else if (input.closest("#mix")) this.#tell();
  }

  // From one style to a blend, or back to the one that weighed most.
  #turn() {
    const one = this.#heaviest();
    const kept = this.switch.checked && !one?.mixes ? this.#styles.find((style) => style.mixes) : one;
    for (const input of this.#inputs()) input.checked = input.value === kept?.name;
    this.#tell();
  }

  #only(name) {
    this.switch.checked = false;
    for (const input of this.#inputs()) input.checked = input.value === name;
  }

  #tell() {
    this.#arrange();
    this.#scroll();
    const value = this.value();
    if (value !== undefined) this.changed(value);
  }

  #begin(style) {
    const shares = typeof style === "string" ? { [style]: 1 } : style;
    this.switch.checked = Object.keys(shares).length > 1;
    this.#setKind();
    for (const input of this.#inputs()) input.checked = input.value in shares;
    this.#arrange();
    for (const [name, share] of Object.entries(shares)) {
      const row = this.#rows.get(name);
      if (row) row.slider.value = 100 * share;
    }
  }

  // Hangs new works where they belong and takes down those that have gone; the others stay, and
  // with them the focus.
  #hang() {
    const hung = new Map(this.#inputs().map((input) => [input.value, input.parentElement]));
    for (const [name, label] of hung) if (!this.#styles.some((style) => style.name === name)) label.remove();
    let last = this.form.querySelector("#add");
    for (const style of this.#styles) {
      const label = hung.get(style.name) ?? work(style);
      if (last.nextElementSibling !== label) last.after(label);
      last = label;
    }
    this.#setKind();
  }

  // One is chosen by radio buttons, several by boxes: so browsers and screen readers know it.
  #setKind() {
    const type = this.switch.checked ? "checkbox" : "radio";
    for (const input of this.#inputs()) if (input.type !== type) input.type = type;
  }

  #arrange() {
    this.#setKind();
    const picked = this.#picked(), blends = this.switch.checked;
    for (const input of this.#inputs()) {
      const style = this.#styles.find((one) => one.name === input.value);
      input.disabled = blends && !input.checked && (picked.length >= MOST || !style.mixes);
    }
    this.#mixRows(blends && picked.length > 1 ? picked : []);
    this.form.querySelector("#mix-help").hidden = !blends || picked.length > 1;
    this.#label(picked);
  }

  #mixRows(styles) {
    for (const [name, { row }] of this.#rows) {
      if (!styles.some((style) => style.name === name)) { row.remove(); this.#rows.delete(name); }
    }
    styles.forEach((style, at) => {
      const { row } = this.#rows.get(style.name) ?? this.#rows.set(style.name, mixRow(style)).get(style.name);
      if (this.mix.children[at] !== row) this.mix.insertBefore(row, this.mix.children[at] ?? null);
    });
    this.mix.hidden = !styles.length;
    const shares = this.#shares(styles);
    styles.forEach((style, at) => { this.#rows.get(style.name).output.textContent = `${shares[at]} %`; });
  }

  #shares(styles) {
    const weights = styles.map((style) => this.#weight(style));
    const whole = weights.reduce((sum, one) => sum + one, 0) || 1;
    return weights.map((weight) => Math.round(100 * weight / whole));
  }

  #label(picked) {
    if (!picked.length) return;
    const alone = picked.length === 1, [style] = picked;
    this.plaque.title.textContent = alone ? style.title : picked.map(short).join(" + ");
    this.plaque.artist.textContent = alone
      ? credit(style, ", ") : `A blend, ${this.#shares(picked).join(" : ")}`;
  }

  // Brings the chosen work into view where the gallery scrolls, and leaves the page where it is.
  #scroll() {
    const wall = this.wall, chosen = this.#inputs().find((one) => one.checked)?.parentElement;
    if (!chosen || this.switch.checked || wall.scrollWidth <= wall.clientWidth) return;
    wall.scrollTo({ left: chosen.offsetLeft - (wall.clientWidth - chosen.clientWidth) / 2, behavior: "smooth" });
  }
}

function credit(style, between) {
  const said = style.picture ? ["added here"] : [style.artist, style.year];
  return said.filter(Boolean).join(between);
}

function short(style) { return style.picture ? style.title : style.name.replaceAll("_", " "); }

function make(tag, values) { return Object.assign(document.createElement(tag), values); }

function work(style) {
  const label = make("label", { className: "work", title: [style.title, credit(style, ", ")].filter(Boolean).join(" · ") });
  const input = make("input", { type: "radio", name: "style", value: style.name });
  input.setAttribute("aria-label", [style.title, credit(style, ", ")].filter(Boolean).join(", "));
  const picture = make("img", {
    src: `/thumbs/${encodeURIComponent(style.name)}.webp`, alt: "", width: 240, height: 180, decoding: "async",
  });
  label.append(input, picture, make("span", { textContent: short(style) }));
  return label;
}

function mixRow(style) {
  const row = make("div", { className: "slider" }), id = `mix-${style.name}`;
  const slider = make("input", { type: "range", id, min: 0, max: 100, step: 1, value: EVEN });
  const output = make("output", {});
  output.setAttribute("for", id);
  row.append(make("label", { htmlFor: id, textContent: short(style) }), output, slider);
  return { row, slider, output };
}
