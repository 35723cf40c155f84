// Shows the server's camera, and asks again by itself whenever the stream has ended.

import { addPicture, Again, tell } from "./bare.js";

const picture = addPicture("img", { alt: "This machine's camera, painted" });
const query = new URLSearchParams(location.search);
query.delete("token");

const LOOK_EVERY = 2000, LONGEST = 15_000;
const again = new Again(begin, LONGEST);

function begin() {
  // The time makes it a new address: a browser would show its copy of a broken stream.
  query.set("n", Date.now());
  picture.src = `/obs/stream?${query}`;
}

function stopped(text) {
  picture.removeAttribute("src");
  again.after(text);
}

// An image only says "error": the reason is in the reply.
async function reason() {
  try {
    const reply = await fetch(`/obs/stream?${query}`);
    if (reply.ok) { reply.body?.cancel(); return ""; }
    return (await reply.json()).error ?? `Status ${reply.status}`;
  } catch {
    return "rtstyle serve does not answer.";
  }
}

picture.addEventListener("load", () => { again.succeeded(); tell(""); });
picture.addEventListener("error", async () => { if (picture.hasAttribute("src")) stopped(await reason()); });

// Browsers keep the last picture of an ended stream and say nothing, so look.
setInterval(async () => {
  if (!picture.hasAttribute("src")) return;
  try {
    const state = await (await fetch("/api/camera")).json();
    if (!state.open) stopped(state.problem);
  } catch {
    stopped("rtstyle serve does not answer.");
  }
}, LOOK_EVERY);

begin();
