// The WebRTC connection to the server: camera out, painting in, settings beside them.

const GATHER_WITHIN = 2000, CONNECT_WITHIN = 8000, LOST_AFTER = 4000, ALIVE_EVERY = 2000;
const CAMERA_BITS = 2_500_000;

export class Refused extends Error {
  constructor(status, message) { super(message); this.status = status; }
}

export class Connection {
  onstream = () => {};
  onstatus = () => {};
  onrefused = () => {};
  onlost = () => {};
  #closed = false;
  #session = "";
  #channel = null;
  #timers = [];
  #pending = {};
  #sending = 0;

  async open(camera, settings) {
    const peer = this.peer = new RTCPeerConnection({ iceServers: [] });
    this.#channel = peer.createDataChannel("rtstyle");
    this.#channel.onmessage = ({ data }) => this.#heard(JSON.parse(data));
    // Says that the server let go long before the connection itself does.
    this.#channel.onclose = () => { if (!this.#closed) this.onlost(); };
    const [track] = camera.getVideoTracks();
    track.contentHint = "motion";
    peer.addTransceiver(track, {
      direction: "sendrecv", streams: [camera], sendEncodings: [{ maxBitrate: CAMERA_BITS }],
    });
    peer.ontrack = ({ receiver, streams, track: painted }) => {
      // The newest picture counts, not the smoothest.
      receiver.jitterBufferTarget = 0;
      receiver.playoutDelayHint = 0;
      this.onstream(streams[0] ?? new MediaStream([painted]));
    };
    peer.onconnectionstatechange = () => this.#changed();
    await peer.setLocalDescription();
    await gathered(peer);
    // Chromium lends WebRTC no address, not even for localhost, while every network is off.
    if (!peer.localDescription.sdp.includes("a=candidate")) {
      throw new Refused(0, "Your browser wants a network for video, though none to the outside: " +
        "switch on Wi-Fi or plug in a cable.");
    }
    const reply = await post("/api/offer", { sdp: peer.localDescription.sdp, settings });
    this.#session = reply.session;
    if (this.#closed) { this.#leave(); return; }
    await peer.setRemoteDescription({ type: "answer", sdp: quickStart(reply.sdp) });
    this.#timers.push(setInterval(() => this.#raw("{}"), ALIVE_EVERY));
    this.#timers.push(setTimeout(() => {
      if (!this.#closed && peer.connectionState !== "connected") this.onlost();
    }, CONNECT_WITHIN));
  }

  // Changes within one picture go out as one message, the last value of each setting.
  send(change) {
    Object.assign(this.#pending, change);
    if (!this.#sending) {
      this.#sending = setTimeout(() => {
        this.#sending = 0;
        this.#raw(JSON.stringify(this.#pending));
        this.#pending = {};
      }, 33);
    }
  }

  async replace(camera) {
    const sender = this.peer.getSenders().find((one) => one.track?.kind === "video") ?? this.peer.getSenders()[0];
    await sender.replaceTrack(camera.getVideoTracks()[0]);
  }

  close() {
    if (this.#closed) return;
    this.#closed = true;
    this.#timers.forEach(clearInterval);
    clearTimeout(this.#sending);
    this.#leave();
    this.peer?.close();
  }

  #raw(text) { if (this.#channel?.readyState === "open") this.#channel.send(text); }

  #leave() {
    if (this.#session) navigator.sendBeacon(`/api/session/${this.#session}/leave`);
  }

  #heard(message) {
    if (message.type === "status") this.onstatus(message);
    else if (message.type === "error") this.onrefused(message.error);
  }

  #changed() {
    const state = this.peer.connectionState;
    if (this.#closed || state === "connected") return;
    if (state === "failed" || state === "closed") this.onlost();
    if (state === "disconnected") {
      // Often mends itself, when a phone changes its network for one.
      this.#timers.push(setTimeout(() => {
        if (!this.#closed && this.peer.connectionState !== "connected") this.onlost();
      }, LOST_AFTER));
    }
  }
}

function gathered(peer) {
  return new Promise((resolve) => {
    const check = () => { if (peer.iceGatheringState === "complete") resolve(); };
    peer.addEventListener("icegatheringstatechange", check);
    setTimeout(resolve, GATHER_WITHIN);
    check();
  });
}

// Chromium begins with 300 kbit/s and a small picture; on the own network there is no need to.
function quickStart(sdp) {
  return sdp.replace(/a=rtpmap:(\d+) VP8\/90000\r\n/, (line, type) =>
    `${line}a=fmtp:${type} x-google-start-bitrate=${CAMERA_BITS / 1000}\r\n`);
}

async function post(where, body) {
  const response = await fetch(where, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
  });
  const reply = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(response.status, reply.error ?? `Status ${response.status}`);
  return reply;
}
