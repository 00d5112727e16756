// Runs before the page's own scripts: listens to the microphone that the page opened and reads, on demand, which
// position of the sweep (sweep.py) it plays now.
(() => {
  const WINDOW = 2048, LOWEST_HZ = 500, RISE_HZ_PER_S = 1000, PERIOD_S = 8, APART_S_MAX = 0.05;
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  let analyser = null;
  navigator.mediaDevices.getUserMedia = async (constraints) => {
    const stream = await open(constraints);
    const context = new AudioContext({ sampleRate: 48_000, latencyHint: "interactive" });
    analyser = new AnalyserNode(context, { fftSize: 2 * WINDOW });
    context.createMediaStreamSource(stream).connect(analyser);
    return stream;
  };
  const positionAfter = (samples) => {
    const crossings = [];
    for (let n = 1; n < samples.length; n++) {
      const [before, after] = [samples[n - 1], samples[n]];
      if (before < 0 !== after < 0) crossings.push(n - 1 + before / (before - after));
    }
    if (crossings.length < 3) return NaN;
    const [first, last] = [crossings[0], crossings.at(-1)];
    const frequency = ((crossings.length - 1) / 2) * 48_000 / (last - first);
    return (frequency - LOWEST_HZ) / RISE_HZ_PER_S + (samples.length - (first + last) / 2) / 48_000;
  };
  window.sweepPosition = () => {
    if (!analyser) return null;
    const samples = new Float32Array(2 * WINDOW);
    analyser.getFloatTimeDomainData(samples);
    // Where the tone begins anew within the last window, that one says nothing: the one before it is read.
    for (const behind of [0, WINDOW]) {
      const window = samples.subarray(WINDOW - behind, 2 * WINDOW - behind);
      const [first, second] = [window.subarray(0, WINDOW / 2), window.subarray(WINDOW / 2)].map(positionAfter);
      if (!(Math.abs(second - first - WINDOW / 2 / 48_000) < APART_S_MAX)) continue;
      return (positionAfter(window) + behind / 48_000) % PERIOD_S;
    }
    return null;
  };
})();
