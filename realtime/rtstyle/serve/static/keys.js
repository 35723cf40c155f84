// Single keys, as in the window of `rtstyle webcam`. They can be switched off, as speech input
// and screen readers may send such keys by themselves.

const STORE = "rtstyle-keys";

export function listenToKeys(box, actions, speak) {
  try { box.checked = localStorage.getItem(STORE) !== "off"; } catch { /* storage is blocked */ }
  box.addEventListener("change", () => {
    try { localStorage.setItem(STORE, box.checked ? "on" : "off"); } catch { /* storage is blocked */ }
  });
  addEventListener("keydown", (event) => {
    if (!box.checked || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const key = event.key === "=" ? "+" : event.key.toLowerCase();
    // A slider has its own use for plus, minus and digits.
    const own = event.target.type === "range" && !/^[a-z?]$/.test(key);
    const action = /^[1-9]$/.test(key) ? () => actions.digit(Number(key)) : actions[key];
    if (!action || own || key === "digit") return;
    event.preventDefault();
    const said = action();
    if (typeof said === "string" && said) speak(said);
  });
}
