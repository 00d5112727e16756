// Everything that changes on and on is drawn together and no oftener than an eye needs it: while recording, frames cost
// more than all else. What a person waits for, another state of the page, is drawn at once.

const DRAW_MS = 100;

// The function to call after a change, with the page's state; `draw()` follows with one of the next frames.
export function drawTogether(draw) {
  let [drawnAtMs, timer, state] = [-Infinity, null, null];
  const drawNow = () => {
    timer = null;
    drawnAtMs = performance.now();
    draw();
  };
  return (next) => {
    if (next !== state) clearTimeout(timer);
    else if (timer) return;
    const delayMs = next === state ? drawnAtMs + DRAW_MS - performance.now() : 0;
    timer = setTimeout(() => requestAnimationFrame(drawNow), delayMs);
    state = next;
  };
}
