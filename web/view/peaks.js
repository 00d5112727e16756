// The shape of a recording's sound as a path, fetched once it is looked at.
const SHAPES_MAX = 500; // a few hundred bytes each
const BARS = 50;
const shapes = new Map(); // recordingId -> path, "" while it is on its way or there is none

export function peaksOf(recordingId, onCome) {
  if (!shapes.has(recordingId)) {
    if (shapes.size >= SHAPES_MAX) shapes.delete(shapes.keys().next().value);
    shapes.set(recordingId, "");
    fetch(`/api/recordings/${recordingId}/peaks`)
      .then((response) => (response.ok ? response.json() : { peaks: [] }))
      .then(({ peaks }) => {
        shapes.set(recordingId, shapeOf(peaks));
        onCome();
      })
      .catch(() => shapes.delete(recordingId)); // asked for again when it is looked at again
  }
  return shapes.get(recordingId);
}

function shapeOf(peaks) {
  const bars = Array.from({ length: Math.min(BARS, peaks.length) }, (_, bar) => {
    const [from, to] = [bar, bar + 1].map((n) => Math.floor((n * peaks.length) / Math.min(BARS, peaks.length)));
    return Math.max(...peaks.slice(from, to)) / 255;
  });
  return bars.map((loud, bar) => `M${((bar + 0.5) * 100) / bars.length} ${20 - Math.max(0.7, loud * 18)}V${20 + Math.max(0.7, loud * 18)}`).join("");
}
