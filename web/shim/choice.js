// What is to be recorded, as the person chose it last, and the streams of it. Devices are preferred, never required:
// where one is gone the browser takes another, and the recording begins all the same.

const KEPT_AS = "holdfast-choice";
// What was heard is kept as it was: a filter made for calls may take music or a quiet room for noise.
const SOUND = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
// Lines of the picture, and bits a second of picture and sound.
export const QUALITIES = {
  small: { height: 480, videoBitsPerSecond: 1_000_000, audioBitsPerSecond: 64_000 },
  standard: { height: 720, videoBitsPerSecond: 2_500_000, audioBitsPerSecond: 128_000 },
  high: { height: 1080, videoBitsPerSecond: 8_000_000, audioBitsPerSecond: 256_000 },
};
export const SCREEN_SOUNDS = ["system", "microphone", "none"];
const FIRST = { source: "microphone", microphone: "", camera: "", screenSound: "system", quality: "standard", countdown: "0", isPreviewed: false, hasKeys: true };

// `source` of the address counts more than the one that was kept.
export function loadChoice(source) {
  const kept = readKept();
  const choice = { ...FIRST, ...kept, ...(source ? { source } : {}) };
  if (!QUALITIES[choice.quality]) choice.quality = FIRST.quality;
  if (!SCREEN_SOUNDS.includes(choice.screenSound)) choice.screenSound = FIRST.screenSound;
  if (!["microphone", "camera", "screen"].includes(choice.source)) choice.source = FIRST.source;
  return choice;
}

export function keepChoice(choice) {
  try {
    localStorage.setItem(KEPT_AS, JSON.stringify(choice));
  } catch {
    // Nothing depends on it: the next visit begins with what the page came with.
  }
}

function readKept() {
  try {
    return JSON.parse(localStorage.getItem(KEPT_AS)) ?? {};
  } catch {
    return {};
  }
}

// Raises the DOMException that the browser gives for a refusal, an absent device, …
export async function openStream(source, { microphone, camera, screenSound, quality }) {
  const audio = { ...SOUND, ...(microphone ? { deviceId: { ideal: microphone } } : {}) };
  const height = { ideal: QUALITIES[quality].height };
  if (source !== "screen") {
    const video = source === "camera" && { height, ...(camera ? { deviceId: { ideal: camera } } : {}) };
    return navigator.mediaDevices.getUserMedia({ audio, video });
  }
  const screen = await navigator.mediaDevices.getDisplayMedia({
    video: { height }, audio: screenSound === "system" && SOUND, systemAudio: "include",
  });
  if (screenSound !== "microphone") return screen;
  try {
    const voice = await navigator.mediaDevices.getUserMedia({ audio });
    return new MediaStream([...screen.getVideoTracks(), ...voice.getAudioTracks()]);
  } catch (error) {
    for (const track of screen.getTracks()) track.stop();
    throw error;
  }
}
