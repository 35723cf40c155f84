// The browser's camera, and what to tell the user when there is none.

const WANTED = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30, max: 30 } };

export async function askForCamera(facing) {
  if (!navigator.mediaDevices?.getUserMedia) throw new DOMException("", "InsecureError");
  return navigator.mediaDevices.getUserMedia({ audio: false, video: { ...WANTED, facingMode: facing } });
}

export async function countCameras() {
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices.filter((device) => device.kind === "videoinput").length;
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
