// A knob for every control of the table: what is added there appears here.

const shown = new Map();
const problem = document.getElementById("problem");

async function ask(changes) {
  problem.textContent = "";
  const answer = await fetch("/api/state", {
    method: "PATCH",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(changes),
  }).catch(() => null);
  if (!answer) problem.textContent = "The program does not answer.";
  else if (!answer.ok) problem.textContent = (await answer.json()).error;
}

function element(tag, settings = {}, ...children) {
  const made = Object.assign(document.createElement(tag), settings);
  made.append(...children);
  return made;
}

function title(name) {
  return name.replaceAll("_", " ");
}

function button(control) {
  const made = element("button", { type: "button", textContent: title(control.name) });
  if (control.kind === "action") {
    made.onclick = () => ask({ [control.name]: true });
    return [made, () => {}];
  }
  made.onclick = () => ask({ [control.name]: "toggle" });
  return [made, (value) => made.setAttribute("aria-pressed", String(value))];
}

function slider(control) {
  const made = element("input", {
    type: "range", min: control.low, max: control.high, step: "any", id: control.name,
  });
  const figure = element("span");
  made.oninput = () => ask({ [control.name]: made.valueAsNumber });
  const show = (value) => {
    if (document.activeElement !== made || !made.matches(":active")) made.value = value;
    figure.textContent = `${Number(value).toFixed(2).replace(/\.?0+$/, "")} ${control.unit}`;
  };
  return [made, show, figure];
}

function choice(control) {
  const options = control.choices.map((one) => element("option", { textContent: one }));
  const made = element("select", { id: control.name }, ...options);
  made.onchange = () => ask({ [control.name]: made.value });
  return [made, (value) => { made.value = value; }];
}

function text(control) {
  const made = element("input", { type: "text", id: control.name, maxLength: 1024 });
  made.onchange = () => ask({ [control.name]: made.value });
  return [made, (value) => { if (document.activeElement !== made) made.value = value ?? ""; }];
}

function add(control) {
  const make = { switch: button, action: button, number: slider, choice, text }[control.kind];
  const [made, show, figure = ""] = make(control);
  const does = element("p", { textContent: control.does, id: `${control.name}-does` });
  made.setAttribute("aria-describedby", does.id);
  const head = made instanceof HTMLButtonElement
    ? [] : [element("div", { className: "head" },
      element("label", { htmlFor: control.name, textContent: title(control.name) }), figure)];
  document.getElementById("controls").append(
    element("div", { className: "control" }, ...head, made, does));
  shown.set(control.name, show);
  if (control.value !== null) show(control.value);
}

function take(message) {
  for (const [name, value] of Object.entries(message.state ?? {})) shown.get(name)?.(value);
  if (message.error) problem.textContent = message.error;
  if (message.figures?.fps !== undefined) {
    const { fps, latency_ms: delay, dropped, shown: style } = message.figures;
    document.getElementById("figures").textContent =
      `${style}, ${fps} FPS, ${delay} ms, ${dropped} dropped`;
  }
}

function watch() {
  const socket = new WebSocket(`${location.protocol.replace("http", "ws")}//${location.host}/api/live`);
  socket.onmessage = (event) => take(JSON.parse(event.data));
  socket.onclose = () => {
    problem.textContent = "The program has ended or does not answer. Trying again.";
    setTimeout(watch, 2000);
  };
  socket.onopen = () => { problem.textContent = ""; };
}

for (const control of await (await fetch("/api/controls")).json()) add(control);
watch();
