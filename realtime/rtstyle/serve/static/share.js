// The dialog with the link to this look, and its QR code.

export class Share {
  constructor(dialog, look, say) {
    this.dialog = dialog;
    this.look = look;
    this.say = say;
    const at = (id) => dialog.querySelector(`#${id}`);
    this.parts = { note: at("link-note"), image: at("qr"), address: at("address") };
    at("copy").addEventListener("click", () => this.#copy());
  }

  async open() {
    let found;
    try {
      const reply = await fetch(`/api/share?look=${encodeURIComponent(this.look())}`);
      found = await reply.json();
      if (!reply.ok) throw new Error(found.error);
    } catch (error) {
      this.say(error.message);
      return;
    }
    const { note, image, address } = this.parts;
    note.textContent = found.near
      ? "Only this machine reaches this server. For others, start it with: rtstyle serve --host 0.0.0.0"
      : "Whoever has this link may use this server.";
    image.parentElement.hidden = found.near;
    URL.revokeObjectURL(image.src);
    image.src = URL.createObjectURL(new Blob([found.qr], { type: "image/svg+xml" }));
    address.value = found.link;
    this.dialog.showModal();
  }

  async #copy() {
    const { address } = this.parts;
    address.select();
    try { await navigator.clipboard.writeText(address.value); this.say("Copied."); } catch { this.say("Copy the marked text yourself."); }
  }
}
