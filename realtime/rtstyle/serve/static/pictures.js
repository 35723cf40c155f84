// Pictures as styles: dropped, pasted or picked, sent one after another, chosen when they are there.

const MOST_BYTES = 20_000_000;

export class Pictures {
  #waiting = Promise.resolve();

  // `taken` gets the style's entry, `speak` what screen readers shall hear. Where pictures are not
  // taken `on` is false; `videos` gets those that were dropped.
  constructor(input, line, taken, speak, { on, videos }) {
    this.on = on;
    this.videos = videos;
    this.line = line;
    this.taken = taken;
    this.speak = speak;
    input.addEventListener("change", () => { this.#take([...input.files]); input.value = ""; });
    addEventListener("paste", (event) => this.#take([...event.clipboardData.files]));
    addEventListener("dragover", (event) => this.#over(event));
    addEventListener("dragleave", (event) => { if (!event.relatedTarget) this.#highlight(false); });
    addEventListener("drop", (event) => this.#dropped(event));
  }

  #highlight(on) { document.documentElement.toggleAttribute("data-dropping", on); }

  #over(event) {
    if (!event.dataTransfer.types.includes("Files")) return;
    // Without this the browser would open the picture in place of the page.
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    this.#highlight(true);
  }

  #dropped(event) {
    this.#highlight(false);
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    this.#take([...event.dataTransfer.files]);
  }

  #take(given) {
    const films = given.filter((file) => file.type.startsWith("video/"));
    if (films.length) this.videos(films);
    const files = this.on ? given.filter((file) => !films.includes(file)) : [];
    for (const file of files) this.#waiting = this.#waiting.then(() => this.#add(file));
  }

  async #add(file) {
    try {
      if (file.size > MOST_BYTES) throw new Error(`${file.name} is too large: a picture has at most 20 MB.`);
      this.speak(`Sending ${file.name}`);
      const entry = await this.#send(file);
      await this.taken(entry);
      this.#say(`${entry.title} hangs in the gallery, for all who have this page.`);
    } catch (error) {
      this.#say(error.message, true);
    }
  }

  #send(file) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open("POST", `/api/pictures?name=${encodeURIComponent(file.name)}`);
      request.setRequestHeader("content-type", file.type.startsWith("image/") ? file.type : "application/octet-stream");
      request.responseType = "json";
      request.upload.onprogress = ({ loaded, total }) => this.#show(`Sending ${file.name}: ${Math.round(100 * loaded / total)} %`);
      request.upload.onload = () => this.#show(`Looking at ${file.name}…`);
      request.onload = () => {
        if (request.status === 200) resolve(request.response);
        else reject(new Error(request.response?.error ?? `The server said ${request.status}.`));
      };
      request.onerror = () => reject(new Error(`${file.name} could not be sent.`));
      request.send(file);
    });
  }

  #show(text, failed = false) {
    this.line.textContent = text;
    this.line.hidden = false;
    this.line.classList.toggle("failed", failed);
  }

  #say(text, failed = false) {
    this.#show(text, failed);
    this.speak(text);
  }
}
