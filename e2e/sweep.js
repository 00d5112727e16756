// Runs before the page's own scripts: listens to the microphone that the page opened and reads, on demand, which
// position of the sweep (sweep.py) it plays now.
(() => {
  const WINDOW = 2048, LOWEST_HZ = 500, RISE_HZ_PER_S = 1000;
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  let analyser = null;
  navigator.mediaDevices.getUserMedia = async (constraints) => {
    const stream = await open(constraints);
    const context = new AudioContext({ sampleRate: 48_000, latencyHint: "interactive" });
    analyser = new AnalyserNode(context, { fftSize: WINDOW });
    context.createMediaStreamSource(stream).connect(analyser);
    return stream;
  };
  window.sweepPosition = () => {
    if (!analyser) return null;
    const samples = new Float32Array(WINDOW);
    analyser.getFloatTimeDomainData(samples);
    const crossings = [];
    for (let n = 1; n < WINDOW; n++) {
      const [before, after] = [samples[n - 1], samples[n]];
      if (before < 0 !== after < 0) crossings.push(n - 1 + before / (before - after));
    }
    if (crossings.length < 10) return null;
    const [first, last] = [crossings[0], crossings.at(-1)];
    const frequency = ((crossings.length - 1) / 2) * 48_000 / (last - first);
    return (frequency - LOWEST_HZ) / RISE_HZ_PER_S + (WINDOW - (first + last) / 2) / 48_000;
  };
})();
