// Makes a recording of MediaRecorder one that players can seek in. Browsers write WebM as a live
// stream: without its length, an index, and the sizes of its parts (RFC 9559, Matroska).

const EBML = 0x1a45dfa3, SEGMENT = 0x18538067, INFO = 0x1549a966, TRACKS = 0x1654ae6b, CLUSTER = 0x1f43b675;
const TOP = new Set([INFO, TRACKS, CLUSTER, 0x114d9b74, 0x1c53bb6b, 0x1254c367, 0x1941a469, 0x1043a770]);
const TIMESTAMP = 0xe7, SIMPLE_BLOCK = 0xa3, BLOCK_GROUP = 0xa0, BLOCK = 0xa1, REFERENCE = 0xfb;
const DURATION = 0x4489, VOID = 0xec, TRACK_ENTRY = 0xae, TRACK_NUMBER = 0xd7, TRACK_TYPE = 0x83, VIDEO = 1;
const CUES = 0x1c53bb6b, CUE_POINT = 0xbb, CUE_TIME = 0xb3, CUE_PLACE = 0xb7, CUE_TRACK = 0xf7, CUE_CLUSTER = 0xf1;

// Returns a new Blob; the old one where it is not what is expected.
export async function seekable(blob) {
  try {
    return rebuild(new Uint8Array(await blob.arrayBuffer()), blob.type);
  } catch {
    return blob;
  }
}

function rebuild(bytes, type) {
  const [head, segment] = [...elements(bytes, 0, bytes.length)];
  if (head?.id !== EBML || segment?.id !== SEGMENT) throw new Error("not WebM");
  const parts = [...elements(bytes, segment.body, segment.end)];
  const info = parts.find((one) => one.id === INFO), tracks = parts.find((one) => one.id === TRACKS);
  const video = videoTrack(bytes, tracks);
  const clusters = parts.filter((one) => one.id === CLUSTER).map((one) => readCluster(bytes, one, video));
  const last = Math.max(...clusters.map((one) => one.last)), step = frameStep(clusters);
  const newInfo = element(INFO, [
    ...[...elements(bytes, info.body, info.end)].filter((one) => one.id !== DURATION && one.id !== VOID)
      .map((one) => bytes.subarray(one.start, one.end)),
    element(DURATION, [float(last + step)]),
  ].flat());
  const newTracks = element(TRACKS, [bytes.subarray(tracks.body, tracks.end)]);
  const bodies = clusters.map((one) => element(CLUSTER, [bytes.subarray(one.body, one.end)]));
  // Every number in the index has eight bytes, so that its size is known before its values.
  let place = size(newInfo) + size(newTracks) + size(index(clusters.map((one) => ({ ...one, place: 0 })), video));
  clusters.forEach((one, at) => { one.place = place; place += size(bodies[at]); });
  const all = [newInfo, newTracks, index(clusters, video), ...bodies].flat();
  return new Blob([bytes.subarray(head.start, head.end), ...element(SEGMENT, all)], { type });
}

// Goes over the elements in a part. A cluster of unknown size ends where one of `TOP` begins.
function* elements(bytes, from, end) {
  let at = from;
  while (at < end) {
    const start = at, [id, afterId] = readNumber(bytes, at, true);
    const [length, body] = readNumber(bytes, afterId, false);
    let stop = length === null ? end : Math.min(end, body + length);
    if (length === null && id === CLUSTER) stop = endOfCluster(bytes, body, end);
    yield { id, start, body, end: stop };
    at = stop;
  }
}

function endOfCluster(bytes, from, end) {
  let at = from;
  while (at < end) {
    const [id, afterId] = readNumber(bytes, at, true);
    if (TOP.has(id)) return at;
    const [length, body] = readNumber(bytes, afterId, false);
    at = Math.min(end, body + length);
  }
  return end;
}

// Returns a number of variable length and the place after it; null for an unknown size.
function readNumber(bytes, at, marked) {
  const length = Math.clz32(bytes[at]) - 23;
  if (length > 8 || at + length > bytes.length) throw new Error("damaged");
  let value = marked ? bytes[at] : bytes[at] & (0xff >> length), full = (bytes[at] | (0xff << (8 - length))) & 0xff;
  for (let next = 1; next < length; next += 1) {
    value = value * 256 + bytes[at + next];
    full &= bytes[at + next];
  }
  return [!marked && full === 0xff ? null : value, at + length];
}

function unsigned(bytes, one) {
  let value = 0;
  for (let at = one.body; at < one.end; at += 1) value = value * 256 + bytes[at];
  return value;
}

function videoTrack(bytes, tracks) {
  for (const entry of elements(bytes, tracks.body, tracks.end)) {
    if (entry.id !== TRACK_ENTRY) continue;
    const fields = new Map([...elements(bytes, entry.body, entry.end)].map((one) => [one.id, one]));
    if (unsigned(bytes, fields.get(TRACK_TYPE)) === VIDEO) return unsigned(bytes, fields.get(TRACK_NUMBER));
  }
  throw new Error("no video");
}

// Adds the times of a cluster: of its last block, and of its first key frame, null without one.
function readCluster(bytes, cluster, video) {
  let time = 0, last = 0, key = null;
  const frames = [];
  for (const one of elements(bytes, cluster.body, cluster.end)) {
    if (one.id === TIMESTAMP) time = unsigned(bytes, one);
    if (one.id !== SIMPLE_BLOCK && one.id !== BLOCK_GROUP) continue;
    const inner = one.id === BLOCK_GROUP ? [...elements(bytes, one.body, one.end)] : [one];
    const block = one.id === BLOCK_GROUP ? inner.find((part) => part.id === BLOCK) : one;
    const [track, at] = readNumber(bytes, block.body, false);
    const now = time + ((bytes[at] << 24) >> 16 | bytes[at + 1]);
    const isKey = one.id === SIMPLE_BLOCK ? (bytes[at + 2] & 0x80) !== 0 : !inner.some((part) => part.id === REFERENCE);
    last = Math.max(last, now);
    if (track === video) frames.push(now);
    if (track === video && isKey) key ??= now;
  }
  return { ...cluster, last, key, frames };
}

// The usual time from frame to frame: the last one is shown as long.
function frameStep(clusters) {
  const times = clusters.flatMap((one) => one.frames);
  const steps = times.slice(1).map((time, at) => time - times[at]).sort((a, b) => a - b);
  return steps[steps.length >> 1] ?? 0;
}

function index(clusters, video) {
  const points = clusters.filter((one) => one.key !== null).map((one) => element(CUE_POINT, [
    ...element(CUE_TIME, [integer(one.key)]),
    ...element(CUE_PLACE, [...element(CUE_TRACK, [integer(video)]), ...element(CUE_CLUSTER, [integer(one.place)])]),
  ]));
  return element(CUES, points.flat());
}

// An element as a list of parts: id, size in eight bytes, body.
function element(id, body) {
  const name = [];
  for (let rest = id; rest > 0; rest = Math.floor(rest / 256)) name.unshift(rest & 0xff);
  const length = integer(size(body));
  length[0] = 1;
  return [new Uint8Array(name), length, ...body];
}

function size(parts) { return parts.reduce((sum, part) => sum + part.length, 0); }

function integer(value) {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(Math.round(value)));
  return bytes;
}

function float(value) {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value);
  return bytes;
}
