// A look in words of an address, as /obs takes it: style=wave:0.7,mosaic:0.3&strength=0.8&mirror=1

const NUMBERS = ["strength", "stroke_size", "coherence", "fade", "walk"];
const SWITCHES = ["keep_color", "match_color", "split", "mirror"];
// A style that nobody painted, by its number: no blend, though it has a colon.
export const DRAWN = /^random:\d{1,9}$/;
const CHOICES = ["only", "transition"];

// Returns settings; what is not one, or not of its kind, is left out.
export function readLook(search) {
  const query = new URLSearchParams(search), look = {};
  const style = query.get("style");
  if (style?.includes(":") && !DRAWN.test(style)) {
    look.style = Object.fromEntries(style.split(",").map((part) => [part.slice(0, part.lastIndexOf(":")), part.slice(part.lastIndexOf(":") + 1)])
      .map(([name, weight]) => [name, Number(weight)]).filter(([, weight]) => weight >= 0));
  } else if (style) look.style = style;
  for (const name of NUMBERS) {
    if (query.has(name) && Number.isFinite(Number(query.get(name)))) look[name] = Number(query.get(name));
  }
  for (const name of SWITCHES) if (query.has(name)) look[name] = ["1", "true"].includes(query.get(name));
  for (const name of CHOICES) if (query.has(name)) look[name] = query.get(name);
  return look;
}

export function writeLook(look) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(look)) {
    if (name === "style") query.set(name, asText(value));
    else if (NUMBERS.includes(name)) query.set(name, String(Number(value.toFixed(3))));
    else if (SWITCHES.includes(name)) query.set(name, value ? "1" : "0");
    else if (CHOICES.includes(name)) query.set(name, value);
  }
  return query.toString();
}

function asText(style) {
  if (typeof style === "string") return style;
  return Object.entries(style).map(([name, weight]) => `${name}:${weight}`).join(",");
}
