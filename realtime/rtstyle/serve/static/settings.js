// The form: the gallery of styles, strength and switches. Tells what changed.

const SWITCHES = ["keep_color", "mirror", "split"];

export class Settings {
  #styles = [];

  constructor(form, plaque, changed) {
    this.form = form;
    this.plaque = plaque;
    this.changed = changed;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", (event) => this.#tell(event.target));
  }

  async load() {
    const response = await fetch("/api/config");
    const config = await response.json();
    if (!response.ok) throw new Error(config.error);
    this.#styles = config.styles;
    const gallery = this.form.querySelector("#gallery");
    gallery.replaceChildren(...config.styles.map((style) => work(style, style.name === config.style)));
    // A browser that goes back or reloads keeps what was set in the form.
    this.#label();
    this.#hang();
  }

  all() {
    const settings = { strength: this.form.strength.value / 100 };
    const style = this.#chosen();
    if (style) settings.style = style.name;
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

  step(by) {
    const count = this.#styles.length;
    return this.choose((this.#styles.indexOf(this.#chosen()) + by + count) % count);
  }

  choose(index) {
    const radio = this.#radios()[index];
    if (!radio) return "";
    radio.checked = true;
    this.#tell(radio);
    return this.#styles[index].title;
  }

  strengthen(by) {
    const slider = this.form.strength;
    slider.value = Number(slider.value) + by;
    this.#tell(slider);
    return `Strength ${slider.value} %`;
  }

  #radios() { return [...this.form.querySelectorAll("input[name=style]")]; }

  #chosen() {
    const radio = this.#radios().find((one) => one.checked);
    return this.#styles.find((style) => style.name === radio?.value);
  }

  #tell(input) {
    this.#label();
    if (input.name === "style") { this.changed({ style: input.value }); this.#hang(); }
    else if (input.name === "strength") this.changed({ strength: input.value / 100 });
    else if (SWITCHES.includes(input.name)) this.changed({ [input.name]: input.checked });
  }

  #label() {
    this.form.querySelector("#strength-value").textContent = `${this.form.strength.value} %`;
    const style = this.#chosen();
    if (!style) return;
    this.plaque.title.textContent = style.title;
    this.plaque.artist.textContent = [style.artist, style.year].filter(Boolean).join(", ");
  }

  // Brings the chosen work into view where the gallery scrolls, and leaves the page where it is.
  #hang() {
    const gallery = this.form.querySelector("#gallery");
    const chosen = this.#radios().find((one) => one.checked)?.parentElement;
    if (!chosen || gallery.scrollWidth <= gallery.clientWidth) return;
    gallery.scrollTo({ left: chosen.offsetLeft - (gallery.clientWidth - chosen.clientWidth) / 2, behavior: "smooth" });
  }
}

function work(style, checked) {
  const label = document.createElement("label");
  label.className = "work";
  const radio = Object.assign(document.createElement("input"), { type: "radio", name: "style", value: style.name, checked });
  const credit = [style.artist, style.year].filter(Boolean).join(", ");
  radio.setAttribute("aria-label", [style.title, credit].filter(Boolean).join(", "));
  const picture = Object.assign(document.createElement("img"), {
    src: `/thumbs/${encodeURIComponent(style.name)}.webp`, alt: "", width: 240, height: 180, decoding: "async",
  });
  const name = Object.assign(document.createElement("span"), { textContent: style.name.replaceAll("_", " ") });
  label.title = [style.title, credit].filter(Boolean).join(" · ");
  label.append(radio, picture, name);
  return label;
}
