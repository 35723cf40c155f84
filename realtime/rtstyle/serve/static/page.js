// Wires the page: camera, connection, settings, tools and keys.

import { Connection, Refused } from "./connection.js";
import { askForCamera, countCameras, explain } from "./camera.js";
import { Figures } from "./figures.js";
import { Settings } from "./settings.js";
import { Pictures } from "./pictures.js";
import { Recorder, snapshot } from "./capture.js";
import { listenToKeys } from "./keys.js";

const at = (id) => document.getElementById(id);
const frame = at("frame"), video = at("painted");
const tools = ["snapshot", "record", "full", "stop"].map(at);
const RETRIES = 3;

let connection = null, camera = null, facing = "user", attempt = 0, wanted = false, toastTimer = 0;

const settings = new Settings(at("settings"), { title: at("title"), artist: at("artist") },
  (change) => connection?.send(change));
const figures = new Figures(video, at("fps"), at("latency"));
const recorder = new Recorder(say);

function speak(text) { at("spoken").textContent = text; }

function say(text) {
  const toast = at("toast");
  toast.textContent = text;
  toast.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { toast.hidden = true; }, 6000);
  speak(text);
}

// States: idle, starting, live, error. The curtain says all but live.
function show(state, title = "", text = "", button = "") {
  const hadFocus = document.activeElement === document.body || at("curtain").contains(document.activeElement);
  frame.dataset.state = state;
  at("curtain-title").textContent = title;
  at("curtain-text").textContent = text;
  at("start").textContent = button;
  at("start").hidden = !button;
  for (const tool of tools) tool.disabled = state !== "live";
  at("figures").hidden = state !== "live";
  if (state !== "live") { at("warming").hidden = true; at("flip").hidden = true; }
  if (title && state !== "idle") speak(`${title}. ${text}`);
  // Whoever pressed Start with the keyboard should not be thrown to the top of the page.
  if (hadFocus && state === "live") at("snapshot").focus({ preventScroll: true });
  if (hadFocus && state === "error" && button) at("start").focus({ preventScroll: true });
}

async function start() {
  wanted = true;
  show("starting", "Opening the camera", "Your browser may ask for your permission.");
  try {
    camera ??= await askForCamera(facing);
  } catch (error) {
    const [title, text] = explain(error);
    stop();
    show("error", title, text, "Try again");
    return;
  }
  show("starting", "Stretching the canvas", "");
  await refresh();
  await connect();
}

async function connect() {
  const mine = new Connection();
  connection = mine;
  mine.onstream = (stream) => { video.srcObject = stream; video.play().catch(() => {}); };
  mine.onstatus = (status) => { if (connection === mine) report(status); };
  mine.onrefused = (text) => say(text);
  mine.onlost = () => { if (connection === mine) lost(); };
  try {
    await mine.open(camera, settings.all());
  } catch (error) {
    if (connection !== mine) return;
    if (error instanceof Refused) {
      stop();
      const title = { 0: "There is no network", 503: "The studio is full" }[error.status] ?? "The server said no";
      show("error", title, error.message.replace(/^The studio is full\. /, ""), "Try again");
    } else {
      lost();
    }
  }
}

function lost() {
  connection?.close();
  connection = null;
  recorder.stop();
  if (!wanted) return;
  attempt += 1;
  if (attempt > RETRIES) {
    stop();
    show("error", "The connection is gone", "Is rtstyle serve still running?", "Try again");
    return;
  }
  show("starting", "Connecting again", `Attempt ${attempt} of ${RETRIES}.`);
  setTimeout(async () => {
    await refresh();
    if (wanted && camera) connect();
  }, 700 * 2 ** attempt);
}

function stop() {
  wanted = false;
  attempt = 0;
  recorder.stop();
  connection?.close();
  connection = null;
  camera?.getTracks().forEach((track) => track.stop());
  camera = null;
  video.srcObject = null;
  figures.stop();
}

// What hangs on the server may have changed: others add pictures, too many go, it starts anew.
async function refresh() {
  try { await settings.load(); } catch { /* the connection will tell */ }
}

let lastProblem = "";

function report(status) {
  at("warming").hidden = !status.warming;
  frame.dataset.shown = status.shown;
  figures.server(status);
  if (status.gallery !== settings.gallery.revision) refresh();
  if (status.problem && status.problem !== lastProblem) say(status.problem);
  lastProblem = status.problem;
}

video.addEventListener("resize", () => {
  if (video.videoWidth) {
    document.documentElement.style.setProperty("--ratio", (video.videoWidth / video.videoHeight).toFixed(4));
  }
});

video.addEventListener("playing", async () => {
  if (!connection) return;
  attempt = 0;
  show("live");
  speak("Your camera is being painted.");
  figures.start(connection.peer);
  at("flip").hidden = (await countCameras()) < 2;
});

at("start").addEventListener("click", start);
at("stop").addEventListener("click", () => {
  stop();
  show("idle", "The easel is put away", "The camera is off and nothing was kept.", "Start the camera");
  at("start").focus();
});
at("snapshot").addEventListener("click", async () => {
  const style = frame.dataset.shown || "picture";
  try { say(`Saved ${await snapshot(video, style)}.`); } catch { say("There is no picture to save yet."); }
});
at("record").addEventListener("click", () => {
  if (recorder.running) recorder.stop();
  else recorder.start(video.srcObject, frame.dataset.shown || "picture");
});
recorder.onchange = (running, seconds) => {
  at("record").setAttribute("aria-pressed", String(running));
  at("record").lastElementChild.textContent = running ? "Finish" : "Record";
  at("recording").hidden = !running;
  at("recorded").textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
};
at("full").addEventListener("click", () => {
  if (document.fullscreenElement) document.exitFullscreen();
  else if (frame.requestFullscreen) frame.requestFullscreen().catch(() => {});
  else video.webkitEnterFullscreen?.();
});
at("flip").addEventListener("click", async () => {
  facing = facing === "user" ? "environment" : "user";
  const old = camera;
  try {
    // Phones lend out one camera at a time.
    old?.getTracks().forEach((track) => track.stop());
    camera = await askForCamera(facing);
    await connection?.replace(camera);
    settings.set("mirror", facing === "user");
  } catch (error) {
    stop();
    show("error", ...explain(error), "Try again");
  }
});
at("help").addEventListener("click", () => at("keys").showModal());

listenToKeys(at("keys-on"), {
  n: () => settings.gallery.step(1),
  p: () => settings.gallery.step(-1),
  "+": () => settings.strengthen(5),
  "-": () => settings.strengthen(-5),
  c: () => settings.toggle("keep_color"),
  m: () => settings.toggle("mirror"),
  o: () => settings.toggle("split"),
  x: () => settings.gallery.toggleBlend(),
  a: () => { if (settings.gallery.takesPictures) at("picture").click(); },
  s: () => at("snapshot").click(),
  r: () => at("record").click(),
  f: () => at("full").click(),
  "?": () => at("keys").showModal(),
  digit: (number) => settings.gallery.choose(number - 1),
}, speak);

// A closed tab frees its place at once; the server would notice by itself a little later.
addEventListener("pagehide", () => { connection?.close(); });

settings.load().then(() => {
  if (!settings.gallery.takesPictures) return;
  new Pictures(at("picture"), at("adding"), async (entry) => {
    await settings.load();
    settings.gallery.add(entry.name);
  }, speak);
}).catch((error) => show("error", "The server did not answer", error.message));
