// A page with nothing but a picture: /obs has this machine's camera in an image, /stage a video.

const message = document.getElementById("message");
const FIRST = 1000;

// Adds the element of the picture, with its attributes, and returns it.
export function addPicture(tag, attributes) {
  const picture = document.createElement(tag);
  picture.id = "picture";
  for (const [name, value] of Object.entries(attributes)) picture.setAttribute(name, value);
  document.body.prepend(picture);
  return picture;
}

export function tell(text) {
  message.textContent = text;
  message.hidden = !text;
}

// Calls `begin` again after what went wrong, later and later until `succeeded`.
export class Again {
  #wait = FIRST;
  #timer = 0;

  constructor(begin, longest) {
    this.begin = begin;
    this.longest = longest;
  }

  after(text) {
    tell(text);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.begin, this.#wait);
    this.#wait = Math.min(this.longest, this.#wait * 1.7);
  }

  succeeded() { this.#wait = FIRST; }
}

const stage = location.pathname.startsWith("/stage");
document.title = `rtstyle ${stage ? "stage" : "camera"}`;
import(stage ? "./stage.js" : "./obs.js");
