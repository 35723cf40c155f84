// Asks one question after the other. What was answered is with the server, so a reload goes on.

const STORE = "rtstyle-survey";
const ASK = { prefer: "Which one do you prefer?", real: "Which one is by a painter?" };
const HINT = { prefer: "Keys: ← and →", real: "Keys: 1 to 4" };
const KEYS = {
  prefer: { ArrowLeft: 0, ArrowRight: 1, ArrowUp: 0, ArrowDown: 1, 1: 0, 2: 1 },
  real: { 1: 0, 2: 1, 3: 2, 4: 3 },
};

const find = (id) => document.getElementById(id);
const show = (id, on) => { find(id).hidden = !on; };
let visitor = read(), state = null, since = 0, retry = null;

function read() {
  try { return localStorage.getItem(STORE); } catch { return null; /* storage is blocked */ }
}

function keep(key) {
  visitor = key;
  try { localStorage.setItem(STORE, key); } catch { /* storage is blocked */ }
}

async function post(path, body) {
  const reply = await fetch(path, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
  });
  const answer = await reply.json();
  if (!reply.ok) throw new Error(answer.error ?? `Status ${reply.status}`);
  return answer;
}

// Runs an action, and offers it again where it fails.
async function attempt(action) {
  show("problem", false);
  try {
    await action();
  } catch (error) {
    retry = action;
    find("why").textContent = error instanceof TypeError ? "The survey does not answer." : error.message;
    show("choices", false);
    show("problem", true);
  }
}

async function join() {
  const answer = await post("/api/survey/join", visitor ? { visitor } : {});
  keep(answer.visitor);
  await ask(answer);
}

const address = (name) => `/survey/${name}.jpg`;

async function ask(answer) {
  state = answer;
  show("intro", false);
  show("count", true);
  find("progress").max = answer.total;
  find("progress").value = answer.number;
  find("number").textContent = `${Math.min(answer.number + 1, answer.total)} of ${answer.total}`;
  const over = answer.question === null;
  show("choices", !over);
  show("end", over);
  show("hint", !over);
  if (over) {
    find("ask").textContent = "Thank you";
    find("number").textContent = `${answer.total} of ${answer.total}`;
    find("ask").focus();
    return;
  }
  await hang(answer.question);
  for (const name of answer.ahead) new Image().src = address(name);
}

// Shows pictures, and takes a choice only once all of them are there.
async function hang({ kind, pictures }) {
  find("ask").textContent = ASK[kind];
  find("hint").textContent = HINT[kind];
  const choices = find("choices");
  choices.dataset.kind = kind;
  const images = pictures.map((name, place) => {
    const image = new Image();
    image.alt = `Picture ${place + 1}`;
    image.src = address(name);
    return image;
  });
  const buttons = images.map((image, place) => {
    const button = document.createElement("button"), key = document.createElement("kbd");
    key.textContent = place + 1;
    key.ariaHidden = "true";
    button.type = "button";
    button.disabled = true;
    button.append(image, key);
    button.addEventListener("click", () => choose(place));
    return button;
  });
  choices.replaceChildren(...buttons);
  try {
    await Promise.all(images.map((image) => image.decode()));
  } catch {
    throw new Error("A picture cannot be shown.");
  }
  for (const button of buttons) button.disabled = false;
  find("ask").focus();
  since = performance.now();
}

function choose(choice) {
  const buttons = [...find("choices").children];
  if (!buttons.length || buttons.some((button) => button.disabled)) return;
  for (const button of buttons) button.disabled = true;
  const seconds = (performance.now() - since) / 1000, { number } = state;
  attempt(async () => ask(await post("/api/survey/vote", { visitor, number, choice, seconds })));
}

find("start").addEventListener("click", () => attempt(join));
find("again").addEventListener("click", () => attempt(retry));
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || !state?.question) return;
  const choice = KEYS[state.question.kind][event.key];
  if (choice === undefined || find("choices").hidden) return;
  event.preventDefault();
  choose(choice);
});
if (visitor) find("start").textContent = "Go on";
