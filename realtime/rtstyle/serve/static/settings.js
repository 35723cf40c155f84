// The form: the gallery of styles, strength and switches. Tells what changed.

import { Gallery } from "./gallery.js";

const SWITCHES = ["keep_color", "mirror", "split"];

export class Settings {
  constructor(form, plaque, changed) {
    this.form = form;
    this.changed = changed;
    this.gallery = new Gallery(form, plaque, (style) => changed({ style }));
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", (event) => this.#tell(event.target));
  }

  async load() {
    await this.gallery.load();
    // A browser that goes back or reloads keeps what was set in the form.
    this.#label();
  }

  all() {
    const settings = { strength: this.form.strength.value / 100 };
    const style = this.gallery.value();
    if (style) settings.style = style;
    for (const name of SWITCHES) settings[name] = this.form[name].checked;
    return settings;
  }

  set(name, on) {
    if (this.form[name].checked !== on) this.toggle(name);
  }

  toggle(name) {
    const box = this.form[name];
    box.checked = !box.checked;
    this.#tell(box);
    return `${box.nextElementSibling.textContent} ${box.checked ? "on" : "off"}`;
  }

  strengthen(by) {
    const slider = this.form.strength;
    slider.value = Number(slider.value) + by;
    this.#tell(slider);
    return `Strength ${slider.value} %`;
  }

  #tell(input) {
    this.#label();
    if (input.name === "strength") this.changed({ strength: input.value / 100 });
    else if (SWITCHES.includes(input.name)) this.changed({ [input.name]: input.checked });
  }

  #label() {
    this.form.querySelector("#strength-value").textContent = `${this.form.strength.value} %`;
  }
}
