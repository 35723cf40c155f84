// Frames a second as they are shown, and the delay as it adds up.

export class Figures {
  #frames = 0;
  #since = 0;
  #timer = 0;
  #handle = 0;
  #peer = null;
  #painting = null;
  #before = { delay: 0, emitted: 0, decode: 0, decoded: 0 };

  // Seconds from the camera to the screen, as far as it is known.
  delay = 0;

  constructor(video, fps, latency) {
    this.video = video;
    this.fps = fps;
    this.latency = latency;
  }

  start(peer) {
    this.stop();
    this.#peer = peer;
    this.#frames = 0;
    this.#since = performance.now();
    this.#timer = setInterval(() => this.#show(), 1000);
    this.#count();
  }

  stop() {
    clearInterval(this.#timer);
    this.#peer = null;
    if (this.#handle) this.video.cancelVideoFrameCallback?.(this.#handle);
    this.#handle = 0;
  }

  // The server's part, from its reports.
  server(status) { this.#painting = status.latency_ms; }

  #count() {
    if (!this.video.requestVideoFrameCallback) return;
    this.#handle = this.video.requestVideoFrameCallback(() => { this.#frames += 1; this.#count(); });
  }

  async #show() {
    if (!this.#peer) return;
    const now = performance.now();
    const rate = 1000 * this.#frames / (now - this.#since);
    this.#frames = 0;
    this.#since = now;
    const { way, buffered, fps } = await this.#measure(this.#peer);
    this.fps.textContent = Math.round(this.video.requestVideoFrameCallback ? rate : fps);
    if (this.#painting === null) return;
    const total = Math.round(this.#painting + way + buffered);
    this.latency.textContent = total;
    this.delay = total / 1000;
    this.latency.title = `painting ${this.#painting}, network ${Math.round(way)}, buffer and decoder ${Math.round(buffered)}`;
  }

  async #measure(peer) {
    let way = 0, buffered = 0, fps = 0;
    (await peer.getStats()).forEach((one) => {
      if (one.type === "candidate-pair" && one.nominated) way = 1000 * (one.currentRoundTripTime ?? 0);
      if (one.type === "inbound-rtp" && one.kind === "video") {
        const last = this.#before;
        const emitted = one.jitterBufferEmittedCount - last.emitted, decoded = one.framesDecoded - last.decoded;
        if (emitted > 0) buffered += 1000 * (one.jitterBufferDelay - last.delay) / emitted;
        if (decoded > 0) buffered += 1000 * (one.totalDecodeTime - last.decode) / decoded;
        fps = one.framesPerSecond ?? 0;
        this.#before = {
          delay: one.jitterBufferDelay, emitted: one.jitterBufferEmittedCount,
          decode: one.totalDecodeTime, decoded: one.framesDecoded,
        };
      }
    });
    return { way, buffered, fps };
  }
}
