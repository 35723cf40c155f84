// Shows the server's camera, and asks again by itself whenever the stream has ended.

const picture = document.getElementById("picture"), message = document.getElementById("message");
const query = new URLSearchParams(location.search);
query.delete("token");

const LOOK_EVERY = 2000, LONGEST = 15_000;
let wait = 1000, timer = 0;

function begin() {
  clearTimeout(timer);
  // The time makes it a new address: a browser would show its copy of a broken stream.
  query.set("n", Date.now());
  picture.src = `/obs/stream?${query}`;
}

function tell(text) {
  message.textContent = text;
  message.hidden = !text;
}

function again(text) {
  tell(text);
  picture.removeAttribute("src");
  clearTimeout(timer);
  timer = setTimeout(begin, wait);
  wait = Math.min(LONGEST, wait * 1.7);
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

picture.addEventListener("load", () => { wait = 1000; tell(""); });
picture.addEventListener("error", async () => { if (picture.hasAttribute("src")) again(await reason()); });

// Browsers keep the last picture of an ended stream and say nothing, so look.
setInterval(async () => {
  if (!picture.hasAttribute("src")) return;
  try {
    const state = await (await fetch("/api/camera")).json();
    if (!state.open) again(state.problem);
  } catch {
    again("rtstyle serve does not answer.");
  }
}, LOOK_EVERY);

begin();
