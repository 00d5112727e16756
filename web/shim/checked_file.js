// Fetches a file of the build, counts its bytes as they come and compares its digest. The browser's own `integrity`
// would say neither how far it is nor what was wrong.
import { texts } from "../texts.js";

// The file as the response that it came as (a worker's policy is among its headers): beside any other, such as one made
// here of the same bytes, Chromium would keep no compiled code. One that came spoiled lies in the HTTP cache for a year:
// it is asked for once more, past the cache, which then holds what came.
export async function checkFile(url, path, { integrity }, count = () => {}) {
  let [file, found] = await read(url, path, "default", count);
  if (found !== integrity) [file, found] = await read(url, path, "reload", () => {});
  if (found !== integrity) throw new Error(texts.failure.digest(path, integrity, found));
  return file;
}

async function read(url, path, cache, count) {
  try {
    const response = await fetch(url, { cache });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    const file = response.clone();
    const [reader, parts] = [response.body.getReader(), []];
    for (let part; !(part = await reader.read()).done; count(part.value.length)) parts.push(part.value);
    const digest = await crypto.subtle.digest("SHA-256", await new Blob(parts).arrayBuffer());
    return [file, `sha256-${btoa(String.fromCharCode(...new Uint8Array(digest)))}`];
  } catch (error) {
    throw new Error(texts.failure.fetch(path, error.message));
  }
}
