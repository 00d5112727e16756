// What the counters of two moments say of the time between them. Nothing here touches the page.

const sum = (counts) => Object.values(counts).reduce((total, value) => total + value, 0);

// Figures a second between two samples, null where the counters began anew in between.
export function between(earlier, later) {
  const seconds = later.at - earlier.at;
  const rate = (read) => Math.max(0, read(later) - read(earlier)) / seconds;
  if (seconds <= 0 || sum(later.receipts) < sum(earlier.receipts)) return null;
  const acks = later.ack_seconds.map((count, place) => count - (earlier.ack_seconds[place] ?? 0));
  return {
    at: later.at,
    acks: rate((sample) => sum(sample.receipts)),
    megabytes: rate((sample) => sample.received_bytes) / 1e6,
    refusals: rate((sample) => sum(sample.refusals)),
    packs: rate((sample) => sample.objects.pack ?? 0),
    alone: rate((sample) => sample.objects.chunk ?? 0),
    bucketErrors: rate((sample) => sample.bucket_errors),
    median: quantile(0.5, later.ack_bounds_s, acks),
    slowest: quantile(0.99, later.ack_bounds_s, acks),
    waitingBodies: later.waiting_bodies,
    waitingBytes: later.waiting_bytes,
    flushes: later.flushes_in_flight,
  };
}

// Seconds within which that share of the answers came, as far as a histogram knows; null without an answer.
// A bound of -1 is without end: then the last one that has one is the least that can be said.
export function quantile(share, bounds, cumulative) {
  const total = cumulative.at(-1) ?? 0;
  if (total <= 0) return null;
  const wanted = share * total;
  const place = cumulative.findIndex((count) => count >= wanted);
  const below = place > 0 ? bounds[place - 1] : 0;
  if (bounds[place] < 0) return below;
  const before = place > 0 ? cumulative[place - 1] : 0;
  return below + ((bounds[place] - below) * (wanted - before)) / Math.max(1, cumulative[place] - before);
}

// The last sample that is old enough for a figure that does not jump.
export function baseline(samples, seconds) {
  const newest = samples.at(-1);
  return samples.findLast((sample) => newest.at - sample.at >= seconds) ?? samples[0];
}

export const inWords = {
  count: (value) => Math.round(value).toLocaleString(),
  rate: (value) => (value >= 100 ? Math.round(value).toLocaleString() : value.toFixed(value >= 10 ? 0 : 1)),
  ms: (seconds) => (seconds === null ? "–" : `${seconds * 1000 >= 100 ? Math.round(seconds * 1000) : (seconds * 1000).toFixed(1)} ms`),
  bytes(value) {
    const units = ["B", "KB", "MB", "GB", "TB"];
    const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, value)) / 3));
    return `${(value / 1000 ** power).toFixed(power ? 1 : 0)} ${units[power]}`;
  },
  time: (text) => new Date(text).toLocaleString(undefined, { dateStyle: "short", timeStyle: "medium" }),
};
