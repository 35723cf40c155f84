// The picture alone. Opened from the page it shows what the page shows; opened by itself it paints
// this machine's camera in the look of its address: /stage?style=wave&strength=0.8&mirror=1

import { addPicture, Again, tell } from "./bare.js";
import { Connection } from "./connection.js";
import { askForCamera, explain } from "./camera.js";
import { keepAwake } from "./awake.js";
import { readLook } from "./look.js";

const LOOK_EVERY = 300, LONGEST = 30_000;
const video = addPicture("video", { playsinline: "", autoplay: "", "aria-label": "The camera, painted" });
video.muted = true;
const look = readLook(location.search), again = new Again(paint, LONGEST);
let connection = null, camera = null;
document.body.classList.add("stage");

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
    stopped(explain(error).join(". "));
    return;
  }
  const mine = connection = new Connection();
  mine.onstream = (stream) => { video.srcObject = stream; video.play().catch(() => {}); };
  mine.onstatus = (status) => { if (connection === mine) tell(status.problem); };
  mine.onlost = () => { if (connection === mine) stopped("The connection is gone."); };
  const { mirror: _, ...settings } = look;
  try { await mine.open(camera, settings); } catch (error) { if (connection === mine) stopped(error.message); }
}

function stopped(text) {
  connection?.close();
  connection = null;
  again.after(text);
}

video.addEventListener("playing", () => { again.succeeded(); keepAwake(true); });
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
