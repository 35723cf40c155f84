// A beat that a user taps, as `rtstyle.live.hearing.tempo` counts it, and what each beat does.

const SLOWEST = 20, QUICKEST = 300, TAPS = 8;

export class Beat {
  #taps = [];
  #timer = 0;
  #next = 0;
  #bpm = 0;

  // `field` shows the beats a minute and takes them; `does` is called with every beat.
  constructor(field, does) {
    this.field = field;
    this.does = does;
    field.addEventListener("change", () => this.use(Number(field.value)));
  }

  // Takes in that a beat is now; returns what to say.
  tap(now = performance.now()) {
    if (this.#taps.length && now - this.#taps.at(-1) > 60_000 / SLOWEST) this.#taps = [];
    this.#taps = [...this.#taps, now].slice(-TAPS);
    if (this.#taps.length < 2) return "Tap on";
    const steps = this.#taps.slice(1).map((late, at) => late - this.#taps[at]).sort((a, b) => a - b);
    const middle = steps.length >> 1;
    const step = steps.length % 2 ? steps[middle] : (steps[middle - 1] + steps[middle]) / 2;
    this.#bpm = Math.min(QUICKEST, Math.max(SLOWEST, 60_000 / Math.max(step, 1)));
    this.#next = now;
    this.#wait(now);
    return this.#said();
  }

  // Beats so often a minute; 0: not at all.
  use(bpm) {
    const before = this.#bpm, now = performance.now();
    this.#bpm = bpm > 0 ? Math.min(QUICKEST, Math.max(SLOWEST, bpm)) : 0;
    // The beat before stays where it was.
    if (!before) this.#next = now;
    else if (this.#bpm) this.#next += 60_000 / this.#bpm - 60_000 / before;
    this.#wait(now);
    return this.#said();
  }

  #said() {
    this.field.value = Math.round(this.#bpm);
    return this.#bpm ? `${Math.round(this.#bpm)} beats a minute` : "No beat";
  }

  // A page in the background is called late: what is past is one beat.
  #wait(now) {
    clearTimeout(this.#timer);
    if (!this.#bpm) return;
    const period = 60_000 / this.#bpm;
    if (this.#next <= now) this.#next += period * (1 + Math.floor((now - this.#next) / period));
    this.#timer = setTimeout(() => { this.does(); this.#wait(performance.now()); }, this.#next - now);
  }
}
