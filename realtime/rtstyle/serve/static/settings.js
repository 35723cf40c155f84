// The form: the gallery of styles, sliders, switches and choices. Tells what changed.

import { Gallery } from "./gallery.js";

const SLIDERS = {
  strength: (value) => `${Math.round(100 * value)} %`,
  stroke_size: (value) => `× ${value.toFixed(2)}`,
  coherence: (value) => `${Math.round(100 * value)} %`,
  fade: (value) => `${value.toFixed(1)} s`,
};
const BEGIN = { strength: 1, stroke_size: 1, coherence: 1 };
const SWITCHES = ["keep_color", "match_color", "split", "freeze"];
// Numbers that are chosen from a list; the first one is that of the start.
const AMOUNTS = ["walk", "target_fps"];
// Of the page alone: the picture is mirrored where it is shown, never in what is saved.
const HERE = ["mirror"];
const CHOICES = ["only", "transition"];
const SAID = { all: "everything" };
const FINE = 10;

export class Settings {
  #controls = new Map();
  #config = null;

  constructor(form, plaque, changed) {
    this.form = form;
    this.changed = changed;
    this.gallery = new Gallery(form, plaque, (style) => changed({ style }));
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", (event) => this.#tell(event.target));
  }

  get config() { return this.#config; }

  async load() {
    const config = await this.gallery.load();
    if (!this.#config) this.#fill(config);
    this.#config = config;
    // A browser that goes back or reloads keeps what was set in the form.
    this.#label();
  }

  // All that the server is told of a new session.
  all() {
    const settings = {};
    for (const name of Object.keys(SLIDERS)) settings[name] = Number(this.form[name].value);
    for (const name of CHOICES) settings[name] = this.form[name].value;
    for (const name of SWITCHES) settings[name] = this.form[name].checked;
    for (const name of AMOUNTS) settings[name] = Number(this.form[name].value);
    const style = this.gallery.value();
    if (style) settings.style = style;
    return settings;
  }

  // What belongs to a look: it is kept and shared.
  look() {
    const { freeze: _, target_fps: __, ...look } = { ...this.all(), mirror: this.form.mirror.checked };
    return look;
  }

  // Of a look what is not as it is at the start, for a short link.
  unusual() {
    const usual = { ...BEGIN, fade: this.#config.fade, mirror: true, walk: 0 };
    for (const name of CHOICES) usual[name] = this.form[name].options[0].value;
    return Object.fromEntries(Object.entries(this.look()).filter(([name, value]) => value !== (usual[name] ?? false)));
  }

  // Takes what it knows of a look; returns whether its style is here.
  apply(look) {
    for (const [name, value] of Object.entries(look)) {
      if (name === "style" || !this.form[name]) continue;
      if (typeof value === "boolean") this.set(name, value);
      else this.#put(name, value);
    }
    return look.style === undefined || this.gallery.put(look.style);
  }

  set(name, on) { if (this.form[name].checked !== on) this.toggle(name); }

  toggle(name) {
    const box = this.form[name];
    box.checked = !box.checked;
    this.#tell(box);
    box.dispatchEvent(new Event("change", { bubbles: true }));
    return `${box.nextElementSibling.textContent} ${box.checked ? "on" : "off"}`;
  }

  // Moves a slider, or a choice by whole steps.
  step(name, by) {
    const input = this.form[name];
    if (name in SLIDERS) this.#put(name, Number(input.value) + by);
    else {
      const count = input.options.length;
      input.selectedIndex = (input.selectedIndex + by + count) % count;
      this.#tell(input);
    }
    const shown = name in SLIDERS ? SLIDERS[name](Number(input.value)) : input.selectedOptions[0].textContent;
    return `${input.labels[0].textContent} ${shown}`;
  }

  #put(name, value) {
    const input = this.form[name];
    input.value = value;
    // A number from elsewhere that is not in the list.
    if (AMOUNTS.includes(name) && input.value !== String(value)) {
      input.add(new Option(name === "walk" ? `${value} s each` : String(value), value));
      input.value = value;
    }
    this.#tell(this.form[name]);
  }

  #fill(config) {
    for (const control of config.controls) this.#controls.set(control.name, control);
    for (const name of Object.keys(SLIDERS)) {
      const { low, high, step } = this.#controls.get(name), input = this.form[name];
      Object.assign(input, { min: low, max: high, step: step / FINE });
      input.value = BEGIN[name] ?? config[name];
    }
    for (const name of CHOICES) {
      const options = this.#controls.get(name).choices.map((one) => new Option(SAID[one] ?? one, one));
      this.form[name].replaceChildren(...options);
    }
    const usual = config.target_fps, rates = [5, 10, 15, 20, 24, 30, 60].filter((rate) => rate !== usual);
    this.form.target_fps.replaceChildren(new Option("as many as come", usual), ...rates.map((rate) => new Option(`${rate}`, rate)));
  }

  #tell(input) {
    this.#label();
    const { name } = input;
    if (name in SLIDERS) this.changed({ [name]: Number(input.value) });
    else if (CHOICES.includes(name)) this.changed({ [name]: input.value });
    else if (AMOUNTS.includes(name)) this.changed({ [name]: Number(input.value) });
    else if (SWITCHES.includes(name)) this.changed({ [name]: input.checked });
    else if (HERE.includes(name)) this.changed({});
  }

  #label() {
    for (const [name, words] of Object.entries(SLIDERS)) {
      this.form[name].parentElement.querySelector("output").textContent = words(Number(this.form[name].value));
    }
  }
}
