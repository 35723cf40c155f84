// Wires the page: camera, connection, settings, tools and keys.

import { Connection, Refused } from "./connection.js";
import { askForCamera, explain, fillCameras, listCameras } from "./camera.js";
import { Figures } from "./figures.js";
import { Settings } from "./settings.js";
import { Pictures } from "./pictures.js";
import { Recorder, snapshot } from "./capture.js";
import { Files } from "./files.js";
import { Mask } from "./mask.js";
import { Scenes } from "./scenes.js";
import { Share } from "./share.js";
import { Beat } from "./beat.js";
import { keepAwake } from "./awake.js";
import { readLook, writeLook } from "./look.js";
import { listKeys, listenToKeys } from "./keys.js";

const at = (id) => document.getElementById(id);
const frame = at("frame"), video = at("painted");
const tools = ["snapshot", "record", "stage", "full", "stop", "mask-draw"].map(at);
const RETRIES = 3;

let connection = null, camera = null, facing = "user", attempt = 0, wanted = false, toastTimer = 0;

const settings = new Settings(at("settings"), { title: at("title"), artist: at("artist") },
  (change) => { if (Object.keys(change).length) connection?.send(change); });
const mask = new Mask(at("drawing"), video, {
  draw: at("mask-draw"), clear: at("mask-clear"), done: at("mask-done"), tools: at("mask-tools"),
  middle: at("mask-middle"), invert: at("mask-invert"), brush: at("brush"), erase: at("erase"),
  mirrored: () => at("mirror").checked,
}, (bits) => connection?.send({ mask: bits }));
const scenes = new Scenes(at("scenes"), (look) => {
  if (!settings.apply(look)) say("The style of this scene is not here any more.");
}, () => ({ name: settings.gallery.title || "Look", values: settings.look() }));
const share = new Share(at("link"), () => writeLook(settings.unusual()), say);
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
  if (state !== "live") mask.done();
  keepAwake(state === "live");
  if (title && state !== "idle") speak(`${title}. ${text}`);
  // Whoever pressed Start with the keyboard should not be thrown to the top of the page.
  if (hadFocus && state === "live") at("snapshot").focus({ preventScroll: true });
  if (hadFocus && state === "error" && button) at("start").focus({ preventScroll: true });
}

async function start() {
  wanted = true;
  show("starting", "Opening the camera", "Your browser may ask for your permission.");
  try {
    camera ??= await askForCamera({ facing, id: at("camera").value });
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
    await mine.open(camera, { ...settings.all(), mask: mask.value() });
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
  showCameras();
});

async function showCameras() {
  const cameras = await listCameras();
  fillCameras(at("camera"), cameras, camera);
  at("flip").hidden = cameras.length < 2 || frame.dataset.state !== "live";
}
navigator.mediaDevices?.addEventListener("devicechange", showCameras);

at("start").addEventListener("click", start);
at("stop").addEventListener("click", () => {
  stop();
  show("idle", "The easel is put away", "The camera is off and nothing was kept.", "Start the camera");
  at("start").focus();
});
at("snapshot").addEventListener("click", async () => {
  try { say(`Saved ${await snapshot(video, settings.gallery.title)}.`); } catch { say("There is no picture to save yet."); }
});
at("record").addEventListener("click", () => {
  if (recorder.running) recorder.stop();
  else recorder.start(video.srcObject, settings.gallery.title, { sound: at("sound").checked, delay: figures.delay });
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
  if (await changeCamera({ facing })) settings.set("mirror", facing === "user");
});
at("camera").addEventListener("change", () => { if (camera) changeCamera({ id: at("camera").value }); });

async function changeCamera(wanted) {
  try {
    // Phones lend out one camera at a time.
    camera?.getTracks().forEach((track) => track.stop());
    camera = await askForCamera(wanted);
    await connection?.replace(camera);
    showCameras();
    return true;
  } catch (error) {
    stop();
    show("error", ...explain(error), "Try again");
    return false;
  }
}

function mirrored() {
  frame.toggleAttribute("data-mirror", at("mirror").checked);
}
at("settings").addEventListener("input", mirrored);
at("mirror").addEventListener("change", mirrored);
mirrored();

at("stage").addEventListener("click", () => {
  if (!window.open("/stage", "rtstyle-stage", "popup,width=1280,height=720")) say("The browser kept the second window from opening.");
});
// What the stage window shows.
window.rtstyle = { stream: () => video.srcObject, mirrored: () => at("mirror").checked };

at("share").addEventListener("click", () => share.open());
at("help").addEventListener("click", () => at("keys").showModal());
at("keep-look").addEventListener("click", () => say(scenes.keep()));

let cycling = 0;
function cycle() {
  clearInterval(cycling);
  const seconds = Number(at("cycle").value);
  if (seconds) cycling = setInterval(() => (scenes.length ? scenes.next() : settings.gallery.step(1)), 1000 * seconds);
}
at("cycle").addEventListener("change", cycle);

const beat = new Beat(at("tempo"), () => {
  const name = at("beat").value;
  act(name === "next_scene" && !scenes.length ? "next" : name);
});
at("tap").addEventListener("click", () => speak(beat.tap()));
for (const name of ["previous", "next", "random"]) at(name).addEventListener("click", () => speak(act(name)));
at("next-scene").addEventListener("click", () => speak(act("next_scene")));
at("figures-on").addEventListener("change", () => {
  document.documentElement.toggleAttribute("data-no-figures", !at("figures-on").checked);
});

// What the words of the key table do here.
const ACTIONS = {
  next: () => settings.gallery.step(1),
  previous: () => settings.gallery.step(-1),
  random: () => settings.gallery.draw(),
  walk: (by) => settings.step("walk", Math.sign(Number(by))),
  mix: (by) => settings.gallery.mixBefore(Number(at("mix").value) + Number(by)),
  style: (number) => settings.gallery.choose(Number(number) - 1),
  only: (by) => settings.step("only", Number(by)),
  transition: (by) => settings.step("transition", Number(by)),
  strength: (by) => settings.step("strength", Number(by)),
  stroke_size: (by) => settings.step("stroke_size", Number(by)),
  coherence: (by) => settings.step("coherence", Number(by)),
  fade: (by) => settings.step("fade", Number(by)),
  cycle: (by) => {
    const said = settings.step("cycle", Math.sign(Number(by)));
    cycle();
    return said;
  },
  target_fps: (by) => settings.step("target_fps", Math.sign(Number(by))),
  tap: () => beat.tap(),
  tempo: (by) => beat.use(Number(at("tempo").value) + Number(by)),
  match_color: () => settings.toggle("match_color"),
  keep_color: () => settings.toggle("keep_color"),
  mirror: () => settings.toggle("mirror"),
  split: () => settings.toggle("split"),
  freeze: () => settings.toggle("freeze"),
  mask: () => mask.toggle(),
  next_scene: () => scenes.next(),
  save_scene: () => at("keep-look").click(),
  snapshot: () => at("snapshot").click(),
  record: () => at("record").click(),
  full_screen: () => at("full").click(),
  figures: () => at("figures-on").click(),
  quit: () => at("stop").click(),
  help: () => at("keys").showModal(),
  picture: () => { if (settings.gallery.takesPictures) at("picture").click(); },
  blend: () => settings.gallery.toggleBlend(),
};

function act(words) {
  const [name, value] = words.split(" ");
  return ACTIONS[name]?.(value);
}

// What each beat does by the scenes file of the server, where the page can do it.
function setBeat(words) {
  const select = at("beat");
  if (!(words.split(" ")[0] in ACTIONS)) return;
  if (![...select.options].some((one) => one.value === words)) select.add(new Option(words, words));
  select.value = words;
}

// A closed tab frees its place at once; the server would notice by itself a little later.
addEventListener("pagehide", () => { connection?.close(); });

settings.load().then(() => {
  const { config, gallery } = settings;
  mask.size = config.mask;
  scenes.load(config.scenes);
  setBeat(config.beat);
  listKeys(at("key-list"), config.keys);
  listenToKeys(at("keys-on"), config.keys, act, speak);
  const look = readLook(location.search);
  if (!settings.apply(look)) say("The style of this link is not on this server.");
  mirrored();
  const files = new Files(at("file"), at("files"), () => settings.all(), speak);
  const takePicture = async (entry) => {
    await settings.load();
    gallery.add(entry.name);
  };
  new Pictures(at("picture"), at("adding"), takePicture, speak, {
    on: gallery.takesPictures, videos: (found) => files.take(found),
  });
}).catch((error) => show("error", "The server did not answer", error.message));
