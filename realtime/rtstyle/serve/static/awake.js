// Keeps the screen on while a picture is live. A page in the background loses the lock by itself.

let wanted = false, lock = null;

export async function keepAwake(on) {
  wanted = on;
  if (!on) {
    const held = lock;
    lock = null;
    await held?.release().catch(() => {});
    return;
  }
  if (lock && !lock.released) return;
  // Refused while the battery is low, and unknown to old browsers: then the screen may go dark.
  const got = await navigator.wakeLock?.request("screen").catch(() => null) ?? null;
  if (wanted) lock = got;
  else await got?.release().catch(() => {});
}

export function isAwake() { return Boolean(lock && !lock.released); }

document.addEventListener("visibilitychange", () => {
  if (wanted && document.visibilityState === "visible") keepAwake(true);
});
