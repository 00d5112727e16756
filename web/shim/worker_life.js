// One worker after the other. Silence is shown after 2 s and the worker replaced after 10 s (doubling to 60 s),
// counted in the window's own ticks so that a sleeping laptop kills nothing. A worker that is being replaced cannot
// be heard any more: its port is closed before it is terminated, because it may go on running for a while.

const SILENCE_SHOWN_MS = 2_000;
const SILENCE_MS_MIN = 10_000;
const SILENCE_MS_MAX = 60_000;
const TICK_MS = 1_000;
const TICK_LATE_MS = 2_500; // the window itself was asleep: nobody's silence can be judged
// What a person asks for. Slices, Stop and locks reach a new worker by other ways; what it lists is asked for anew.
const WISHES = ["record", "rename", "delete-recording", "retry-parked", "free-space"];

// A worker that loads the build, and this end of its port.
// `names` are the addresses that are kept for certain (see KeptBuild), where they are known.
export function openWorker(build, base, epoch, names) {
  const channel = new MessageChannel();
  const worker = new Worker(new URL(build.worker, base), { type: "module", name: `holdfast-${epoch}` });
  worker.postMessage({ build, base, names, port: channel.port2 }, [channel.port2]);
  return { worker, port: channel.port1 };
}

export class WorkerLife {
  // onMessage(message) hears the present worker only; onDeath(why) is told before the next one starts, or when
  // `mayReplace()` says no.
  constructor({ build, base, boot, onMessage, onDeath, onSilence, mayReplace, onTick }) {
    Object.assign(this, { build, base, boot, onMessage, onDeath, onSilence, mayReplace, onTick });
    this.epoch = 0;
    this.port = null;
    this.silenceMsMax = SILENCE_MS_MIN;
    this.isSilent = false;
    this.wishes = []; // those after which no worker has said anything
    setInterval(() => this.tick(), TICK_MS);
  }

  // The first one was opened before all else (start.js).
  start(opened = openWorker(this.build, this.base, this.epoch + 1)) {
    this.epoch += 1;
    this.isBooting = true;
    this.startedAt = performance.now();
    this.silentMs = 0;
    Object.assign(this, opened);
    this.port.onmessage = ({ data }) => this.#hear(data);
    this.worker.onerror = (event) => {
      event.preventDefault();
      this.#die(event.message ?? "");
    };
    this.send({ type: "boot", epoch: this.epoch, ...this.boot() });
    // Told again once and not oftener: what a wish does may be what kills a worker.
    for (const wish of this.wishes.splice(0)) this.port.postMessage(wish);
  }

  // Queued by the port until the worker listens. Whether one is there; a wish waits for it otherwise.
  send(message) {
    if (WISHES.includes(message.type)) this.wishes.push(message);
    this.port?.postMessage(message);
    return this.port !== null;
  }

  tick() {
    const now = performance.now();
    const passedMs = now - this.tickedAt;
    this.tickedAt = now;
    const isLate = !(passedMs <= TICK_LATE_MS);
    this.onTick(isLate ? 0 : passedMs);
    if (!this.port || this.isBooting) return;
    this.silentMs = isLate ? 0 : this.silentMs + passedMs;
    if (this.silentMs >= this.silenceMsMax) this.#die("");
    else if (this.isSilent !== this.silentMs >= SILENCE_SHOWN_MS) this.onSilence((this.isSilent = !this.isSilent));
  }

  #hear(message) {
    this.silentMs = 0;
    if (message.type === "failed") return this.#die(message.message);
    if (message.type !== "booting") Object.assign(this, { isBooting: false, wishes: [] });
    // One that has lived this long was no victim of what killed the former.
    if (performance.now() - this.startedAt > SILENCE_MS_MAX) this.silenceMsMax = SILENCE_MS_MIN;
    this.onMessage(message);
  }

  #die(why) {
    this.port.onmessage = null;
    this.port.close();
    this.port = null;
    this.worker.terminate();
    this.isSilent = false;
    const isReplaced = this.mayReplace();
    this.onDeath(why, isReplaced);
    if (!isReplaced) return;
    // One that died young is not followed at once, or a fault at start would spin.
    const livedMs = performance.now() - this.startedAt;
    const delayMs = Math.max(0, this.silenceMsMax / 10 - livedMs);
    this.silenceMsMax = Math.min(SILENCE_MS_MAX, this.silenceMsMax * 2);
    setTimeout(() => this.start(), delayMs);
  }
}
