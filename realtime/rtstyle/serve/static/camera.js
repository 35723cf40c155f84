// The browser's camera, and what to tell the user when there is none.

const WANTED = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30, max: 30 } };

// Opens a camera: the one of `id`, else one that is `facing` the user or away from him.
export async function askForCamera({ facing = "user", id = "" }) {
  if (!navigator.mediaDevices?.getUserMedia) throw new DOMException("", "InsecureError");
  const which = id ? { deviceId: { exact: id } } : { facingMode: facing };
  return navigator.mediaDevices.getUserMedia({ audio: false, video: { ...WANTED, ...which } });
}

// Browsers tell the names only once the user has lent a camera.
export async function listCameras() {
  const devices = await navigator.mediaDevices?.enumerateDevices() ?? [];
  return devices.filter((device) => device.kind === "videoinput" && device.deviceId)
    .map((device, at) => ({ id: device.deviceId, name: device.label || `Camera ${at + 1}` }));
}

export function fillCameras(select, cameras, camera) {
  const now = camera?.getVideoTracks()[0]?.getSettings().deviceId ?? "";
  if (!cameras.length) return;
  select.replaceChildren(...cameras.map(({ id, name }) => new Option(name, id, false, id === now)));
}

// Returns a title and a sentence.
export function explain(error) {
  switch (error.name) {
    case "NotAllowedError":
      return ["The camera is blocked", "Allow it with the camera symbol in the address bar, then try again."];
    case "NotFoundError":
    case "OverconstrainedError":
      return ["There is no camera", "Plug one in, or open this page on a phone or laptop that has one."];
    case "NotReadableError":
    case "AbortError":
      return ["The camera is busy", "Close the other program or tab that uses it, then try again."];
    case "InsecureError":
      return ["No camera on this address", "Browsers lend the camera only to https pages and to localhost."];
    default:
      return ["The camera does not start", error.message || error.name];
  }
}
