// Begins what takes longest, the worker, before the rest of the page's script runs.
import { KeptBuild } from "./shim/kept_build.js";
import { holdBuild } from "./shim/offline_use.js";
import { openWorker } from "./shim/worker_life.js";

export const build = JSON.parse(document.getElementById("build")?.textContent || "null");
const canRecord = isSecureContext && globalThis.MediaRecorder && navigator.mediaDevices;

// An open worker, or the reason why there is none; null where page.js says what is missing.
export const firstWorker = build && canRecord ? begin() : null;
firstWorker?.catch(() => {}); // page.js hears of it

async function begin() {
  // The worker reads the answer; only a window may ask.
  navigator.storage.persist().catch(() => {});
  const held = holdBuild(build);
  // A service worker gave this page out and has the worker's file too. One that comes past it the worker checks itself.
  if (navigator.serviceWorker?.controller) return openWorker(build, document.baseURI, 1);
  const [kept] = await Promise.all([new KeptBuild(build, document.baseURI).open(), held]);
  await kept.load(build.worker);
  return openWorker(build, document.baseURI, 1, kept.names);
}
