// Snapshots and recordings of what is shown. Both stay in the browser until they are saved.

// VP8 first: VP9 and H.264 in software take the time that the picture needs.
const KINDS = [
  ["video/webm;codecs=vp8", "webm"],
  ["video/mp4;codecs=avc1.42E01E", "mp4"],
  ["video/webm", "webm"],
  ["video/mp4", "mp4"],
];
const RECORDED_BITS = 6_000_000;

export async function snapshot(video, style) {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  if (!blob) throw new Error("no picture");
  return save(blob, style, "png");
}

export class Recorder {
  onchange = () => {};
  #recorder = null;
  #timer = 0;

  constructor(say) { this.say = say; }

  get running() { return this.#recorder !== null; }

  start(stream, style) {
    const kind = KINDS.find(([type]) => window.MediaRecorder?.isTypeSupported(type));
    if (!kind || !stream) { this.say("This browser cannot record."); return; }
    const [mimeType, suffix] = kind, parts = [], began = performance.now();
    const recorder = new MediaRecorder(stream, { mimeType, videoBitsPerSecond: RECORDED_BITS });
    recorder.ondataavailable = ({ data }) => { if (data.size) parts.push(data); };
    recorder.onstop = () => {
      this.#ended();
      if (parts.length) this.say(`Saved ${save(new Blob(parts, { type: mimeType.split(";")[0] }), style, suffix)}.`);
    };
    recorder.onerror = () => this.say("The recording broke off.");
    // In parts, so that what was recorded survives when the stream ends by itself.
    recorder.start(1000);
    this.#recorder = recorder;
    const tick = () => this.onchange(true, Math.floor((performance.now() - began) / 1000));
    this.#timer = setInterval(tick, 500);
    tick();
  }

  stop() { if (this.#recorder?.state === "recording") this.#recorder.stop(); }

  #ended() {
    clearInterval(this.#timer);
    this.#recorder = null;
    this.onchange(false, 0);
  }
}

function save(blob, style, suffix) {
  const moment = new Date().toISOString().slice(0, 19).replace(/[:T]/g, "-");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `rtstyle-${style}-${moment}.${suffix}`;
  document.body.append(link);
  link.click();
  link.remove();
  // Some browsers read the blob only after the click was handled.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  return link.download;
}
