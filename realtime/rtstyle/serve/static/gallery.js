// The gallery: one style is chosen, or some are blended by sliders. Tells what is chosen.

import { DRAWN } from "./look.js";

const MOST = 4, EVEN = 50, SEEDS = 1_000_000;

export class Gallery {
  revision = -1;
  takesPictures = false;
  draws = false;
  #styles = [];
  // A style that nobody painted, in place of those that hang here.
  #drawn = null;
  // The style that was chosen last, the one before it, and the share of that one.
  #base = null;
  #before = null;
  #share = 0;
  #rows = new Map();

  constructor(form, plaque, changed) {
    this.form = form;
    this.plaque = plaque;
    this.changed = changed;
    this.wall = form.querySelector("#gallery");
    this.mix = form.querySelector("#shares");
    this.slider = form.mix;
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
    this.draws = config.draws;
    this.form.querySelector("#random").disabled = this.form.walk.disabled = !config.draws;
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
    if (!names.length || names.some((name) => !this.#here(name))) return false;
    if (names.some((name) => DRAWN.test(name))) return this.#putDrawn(style, names);
    this.#begin(style);
    this.#tell();
    return true;
  }

  // What the server takes as the style; nothing while every slider is at zero.
  value() {
    const picked = this.#picked();
    if (this.#share && picked.length === 1) return this.#mixed();
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
    const found = this.#styles.indexOf(this.#heaviest()), at = found < 0 && by < 0 ? 0 : found;
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

  // Chooses a style that nobody painted; returns what it is called.
  draw() {
    if (!this.draws) return "";
    this.#putDrawn(`random:${Math.floor(Math.random() * SEEDS)}`);
    return this.title;
  }

  // Mixes a share, 0 to 1, of the style before this one in.
  mixBefore(share) {
    if (!this.#canMix()) return "Choose a second style to mix with";
    this.slider.value = share;
    this.#heard(this.slider);
    return `Mix in the style before ${Math.round(100 * this.#share)} %`;
  }

  #here(name) { return this.#styles.some((one) => one.name === name) || (this.draws && DRAWN.test(name)); }

  #putDrawn(style, names = [style]) {
    if (names.length > 2) return false;
    const shares = typeof style === "string" ? { [style]: 1 } : style;
    const [base, before] = names.sort((a, b) => shares[b] - shares[a]);
    this.#only(base);
    this.#tell();
    if (before) {
      this.#before = before;
      this.mixBefore(shares[before] / (shares[base] + shares[before]));
    }
    return true;
  }

  #named(name) {
    if (DRAWN.test(name)) return { name, title: name.replace(":", " "), artist: "nobody", year: "", mixes: true };
    return this.#styles.find((style) => style.name === name);
  }

  #canMix() {
    const before = this.#before && this.#here(this.#before) ? this.#named(this.#before) : null;
    return Boolean(!this.switch.checked && before?.mixes && this.#picked()[0]?.mixes);
  }

  #mixed() {
    return { [this.#base]: 1 - this.#share, [this.#before]: this.#share };
  }

  // Remembers what was chosen last and before; a new choice is not mixed.
  #remember() {
    const picked = this.#picked(), name = picked.length === 1 ? picked[0].name : null;
    if (name && name !== this.#base) {
      if (this.#base) this.#before = this.#base;
      this.#base = name;
      this.#share = 0;
    }
    if (this.#share && !this.#canMix()) this.#share = 0;
    this.slider.disabled = !this.#canMix();
    this.slider.value = this.#share;
    this.slider.parentElement.querySelector("output").textContent = `${Math.round(100 * this.#share)} %`;
  }

  toggleBlend() {
    if (this.switch.closest("label").hidden) return "";
    this.switch.checked = !this.switch.checked;
    this.#heard(this.switch);
    return `Blend ${this.switch.checked ? "on" : "off"}`;
  }

  #inputs() { return [...this.form.querySelectorAll("input[name=style]")]; }

  #picked() {
    if (this.#drawn) return [this.#named(this.#drawn)];
    const names = new Set(this.#inputs().filter((one) => one.checked).map((one) => one.value));
    return this.#styles.filter((style) => names.has(style.name));
  }

  #weight(style) { return Number(this.#rows.get(style.name)?.slider.value ?? EVEN); }

  #heaviest() {
    return this.#picked().reduce((best, one) => (best && this.#weight(best) >= this.#weight(one) ? best : one), null);
  }

  #heard(input) {
    if (input === this.switch) this.#turn();
    else if (input === this.slider) {
      this.#share = Number(input.value);
      this.#tell();
    }
    else if (input.name === "style") {
      this.#drawn = null;
      // A blend has one style at least.
      if (!this.#picked().length) input.checked = true;
      this.#tell();
    } else if (input.closest("#shares")) this.#tell();
  }

  // From one style to a blend, or back to the one that weighed most.
  #turn() {
    const one = this.#heaviest();
    // What hangs nowhere has no place among the shares.
    const hung = this.#drawn ? null : one;
    this.#drawn = null;
    const kept = this.switch.checked && !hung?.mixes ? this.#styles.find((style) => style.mixes) : hung;
    for (const input of this.#inputs()) input.checked = input.value === kept?.name;
    this.#tell();
  }

  #only(name) {
    this.switch.checked = false;
    this.#drawn = DRAWN.test(name) ? name : null;
    this.#setKind();
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
    const names = Object.keys(shares);
    this.#drawn = names.length === 1 && DRAWN.test(names[0]) ? names[0] : null;
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
    this.#remember();
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
    if (this.#share && alone) {
      const parts = [style, this.#named(this.#before)], share = Math.round(100 * this.#share);
      this.plaque.title.textContent = parts.map(short).join(" + ");
      this.plaque.artist.textContent = `A blend, ${100 - share} : ${share}`;
      return;
    }
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

function short(style) { return style.picture || DRAWN.test(style.name) ? style.title : style.name.replaceAll("_", " "); }

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
