// Photos and videos that are sent to be painted: progress, and what came of them.

const MOST_BYTES = 100_000_000, ASK_EVERY = 700;

export class Files {
  // `settings` returns how files are painted, `speak` tells screen readers.
  constructor(input, list, settings, speak) {
    this.list = list;
    this.settings = settings;
    this.speak = speak;
    input.addEventListener("change", () => { this.take([...input.files]); input.value = ""; });
  }

  take(files) { for (const file of files) this.#paint(file); }

  async #paint(file) {
    const row = new Row(this.list, file.name);
    try {
      if (file.size > MOST_BYTES) throw new Error(`${file.name} is too large: a file has at most 100 MB.`);
      const job = await this.#send(file, row);
      row.onremove = () => fetch(`/api/paint/${job}`, { method: "DELETE" }).catch(() => {});
      if (row.gone) row.onremove();
      await this.#follow(job, row);
    } catch (error) {
      if (!row.gone) { row.failed(error.message); this.speak(error.message); }
    }
  }

  #send(file, row) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest(), query = new URLSearchParams({ name: file.name, settings: JSON.stringify(this.settings()) });
      request.open("POST", `/api/paint?${query}`);
      request.setRequestHeader("content-type", /^(image|video)\//.test(file.type) ? file.type : "application/octet-stream");
      request.responseType = "json";
      request.upload.onprogress = ({ loaded, total }) => row.show(`Sending ${Math.round(100 * loaded / total)} %`, loaded / total);
      request.onload = () => {
        if (request.status === 200) resolve(request.response.job);
        else reject(new Error(request.response?.error ?? `The server said ${request.status}.`));
      };
      request.onerror = () => reject(new Error(`${file.name} could not be sent.`));
      request.onabort = () => reject(new Error("Stopped."));
      row.onremove = () => request.abort();
      request.send(file);
    });
  }

  async #follow(job, row) {
    for (;;) {
      const reply = await fetch(`/api/paint/${job}`);
      const now = await reply.json();
      if (row.gone) return;
      if (!reply.ok) throw new Error(now.error);
      if (now.state === "failed") throw new Error(now.error);
      if (now.state === "done") {
        row.done(`/api/paint/${job}/file`, now.name, now.notes.join("; "));
        this.speak(`${now.name} is painted.`);
        return;
      }
      if (now.state === "waiting") row.show(`Waiting: ${now.before} before it`, null);
      else row.show(now.progress ? `Painting ${Math.round(100 * now.progress)} %` : "Painting", now.progress || null);
      await new Promise((resolve) => setTimeout(resolve, ASK_EVERY));
    }
  }
}

class Row {
  gone = false;
  onremove = () => {};

  constructor(list, name) {
    this.row = document.createElement("li");
    this.name = document.createElement("span");
    this.name.textContent = name;
    this.state = document.createElement("small");
    this.bar = document.createElement("progress");
    this.bar.setAttribute("aria-label", name);
    const remove = document.createElement("button");
    Object.assign(remove, { type: "button", className: "small remove", textContent: "×" });
    remove.setAttribute("aria-label", `Remove ${name}`);
    remove.addEventListener("click", () => { this.gone = true; this.onremove(); this.row.remove(); });
    this.row.append(this.name, remove, this.bar, this.state);
    list.prepend(this.row);
  }

  show(text, share) {
    this.state.textContent = text;
    if (share === null) this.bar.removeAttribute("value");
    else this.bar.value = share;
  }

  failed(text) {
    this.bar.remove();
    this.state.textContent = text;
    this.row.classList.add("failed");
  }

  done(href, download, notes) {
    this.bar.remove();
    this.state.textContent = notes;
    const link = Object.assign(document.createElement("a"), { href, download, textContent: `Download ${download}`, className: "small" });
    this.name.replaceWith(link);
  }
}
