// Snapshots and recordings of what is painted, never mirrored. Both stay in the browser until they
// are saved.

import { seekable } from "./webm.js";

// VP8 first: VP9 and H.264 in software take the time that the picture needs.
const KINDS = [
  ["video/webm;codecs=vp8", "webm"],
  ["video/mp4;codecs=avc1.42E01E", "mp4"],
  ["video/webm", "webm"],
  ["video/mp4", "mp4"],
];
const WITH_SOUND = { "video/webm;codecs=vp8": "video/webm;codecs=vp8,opus", "video/mp4;codecs=avc1.42E01E": "video/mp4;codecs=avc1.42E01E,mp4a.40.2" };
const RECORDED_BITS = 6_000_000, KEY_EVERY = 2000;
const MOST_DELAY = 2;

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
  #starting = false;
  #sound = null;

  constructor(say) { this.say = say; }

  get running() { return this.#recorder !== null; }

  // `style` names the file; `delay` is by how many seconds the picture comes late, for the sound.
  async start(stream, style, { sound = false, delay = 0 } = {}) {
    if (this.#recorder || this.#starting) return;
    const kind = KINDS.find(([type]) => window.MediaRecorder?.isTypeSupported(type));
    if (!kind || !stream) { this.say("This browser cannot record."); return; }
    this.#starting = true;
    if (sound) await this.#openSound(delay);
    this.#starting = false;
    const tracks = [...stream.getVideoTracks(), ...(this.#sound?.tracks ?? [])];
    const [plain, suffix] = kind, mimeType = (this.#sound && WITH_SOUND[plain]) || plain;
    const parts = [], began = performance.now();
    const recorder = new MediaRecorder(new MediaStream(tracks), {
      mimeType, videoBitsPerSecond: RECORDED_BITS, videoKeyFrameIntervalDuration: KEY_EVERY,
    });
    recorder.ondataavailable = ({ data }) => { if (data.size) parts.push(data); };
    recorder.onstop = async () => {
      this.#ended();
      if (!parts.length) return;
      const blob = new Blob(parts, { type: mimeType.split(";")[0] });
      this.say(`Saved ${save(suffix === "webm" ? await seekable(blob) : blob, style, suffix)}.`);
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

  // The microphone, as late as the picture.
  async #openSound(delay) {
    let microphone;
    try {
      microphone = await navigator.mediaDevices.getUserMedia({
        audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
      });
    } catch {
      this.say("There is no microphone, or it is blocked: recording without sound.");
      return;
    }
    const context = new AudioContext(), late = context.createDelay(MOST_DELAY);
    const out = context.createMediaStreamDestination();
    late.delayTime.value = Math.min(MOST_DELAY, delay);
    context.createMediaStreamSource(microphone).connect(late).connect(out);
    this.#sound = {
      tracks: out.stream.getAudioTracks(),
      close: () => { microphone.getTracks().forEach((track) => track.stop()); context.close(); },
    };
  }

  #ended() {
    clearInterval(this.#timer);
    this.#recorder = null;
    this.#sound?.close();
    this.#sound = null;
    this.onchange(false, 0);
  }
}

function save(blob, style, suffix) {
  const moment = new Date().toISOString().slice(0, 19).replace(/[:T]/g, "-");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `rtstyle-${inFileName(style)}-${moment}.${suffix}`;
  document.body.append(link);
  link.click();
  link.remove();
  // Some browsers read the blob only after the click was handled.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  return link.download;
}

// Letters and digits of any script, joined by hyphens.
function inFileName(text) {
  return text.normalize("NFC").replace(/[^\p{L}\p{N}_]+/gu, "-").replace(/^-+|-+$/g, "").slice(0, 60) || "picture";
}
