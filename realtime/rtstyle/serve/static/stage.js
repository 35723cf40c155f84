// The picture alone. Opened from the page it shows what the page shows; opened by itself it paints
// this machine's camera in the look of its address: /stage?style=wave&strength=0.8&mirror=1

import { Connection } from "./connection.js";
import { askForCamera, explain } from "./camera.js";
import { keepAwake } from "./awake.js";
import { readLook } from "./look.js";

const LOOK_EVERY = 300, LONGEST = 30_000;
const video = document.getElementById("picture"), message = document.getElementById("message");
const look = readLook(location.search);
let wait = 1000, connection = null, camera = null;

function tell(text) {
  message.textContent = text;
  message.hidden = !text;
}

function mirror(on) { document.body.toggleAttribute("data-mirror", on); }

function follow() {
  const page = opener?.closed ? null : opener?.rtstyle;
  if (!page) { tell("The page that this picture came from is closed."); return; }
  const stream = page.stream();
  if (video.srcObject !== stream) {
    video.srcObject = stream;
    video.play().catch(() => {});
  }
  mirror(page.mirrored());
  tell(stream ? "" : "The camera is off.");
}

async function paint() {
  tell("");
  try {
    camera ??= await askForCamera({});
  } catch (error) {
    again(explain(error).join(". "));
    return;
  }
  const mine = connection = new Connection();
  mine.onstream = (stream) => { video.srcObject = stream; video.play().catch(() => {}); };
  mine.onstatus = (status) => { if (connection === mine) tell(status.problem); };
  mine.onlost = () => { if (connection === mine) again("The connection is gone."); };
  const { mirror: _, ...settings } = look;
  try { await mine.open(camera, settings); } catch (error) { if (connection === mine) again(error.message); }
}

function again(text) {
  tell(text);
  connection?.close();
  connection = null;
  setTimeout(paint, wait);
  wait = Math.min(LONGEST, wait * 1.7);
}

video.addEventListener("playing", () => { wait = 1000; keepAwake(true); });
addEventListener("pagehide", () => connection?.close());
addEventListener("keydown", (event) => {
  if (event.key === "f") document.documentElement.requestFullscreen?.().catch(() => {});
});
addEventListener("dblclick", () => document.documentElement.requestFullscreen?.().catch(() => {}));

let beside = false;
try { beside = Boolean(opener?.rtstyle); } catch { /* another site's page */ }
if (beside) {
  setInterval(follow, LOOK_EVERY);
  follow();
} else {
  mirror(Boolean(look.mirror));
  paint();
}
