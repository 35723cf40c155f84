// Single keys, from the table that the window of `rtstyle webcam` has as well. They can be switched
// off, as speech input and screen readers may send such keys by themselves.

const STORE = "rtstyle-keys";
const NAMES = { " ": "space" };

// `keys` is the table, `act` does what one asks for and returns what to say.
export function listenToKeys(box, keys, act, speak) {
  const asks = Object.assign({}, ...keys.map((key) => key.asks));
  try { box.checked = localStorage.getItem(STORE) !== "off"; } catch { /* storage is blocked */ }
  box.addEventListener("change", () => {
    try { localStorage.setItem(STORE, box.checked ? "on" : "off"); } catch { /* storage is blocked */ }
  });
  addEventListener("keydown", (event) => {
    if (!box.checked || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const key = NAMES[event.key] ?? (event.key.length === 1 ? event.key.toLowerCase() : "");
    if (!asks[key] || hasItsOwnUse(event.target, key)) return;
    event.preventDefault();
    const said = act(asks[key]);
    if (typeof said === "string" && said) speak(said);
  });
}

// Fields take letters, sliders and lists move by keys, and space presses what has the focus.
function hasItsOwnUse(target, key) {
  if (target.matches("select, input[type=text], input[type=number]")) return true;
  if (key === "space") return target.matches("button, input, a, summary");
  return target.type === "range" && !/^[a-z?]$/.test(key);
}

export function listKeys(list, keys) {
  list.replaceChildren(...keys.map((key) => {
    const row = document.createElement("div"), term = document.createElement("dt"), does = document.createElement("dd");
    key.shown.split(" ").forEach((one, at) => {
      if (at) term.append(" ");
      term.append(Object.assign(document.createElement("kbd"), { textContent: one }));
    });
    does.textContent = key.does;
    row.append(term, does);
    return row;
  }));
}
