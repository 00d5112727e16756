// Fetches a file of the build, counts its bytes as they come and compares its digest. The browser's own `integrity`
// would say neither how far it is nor what was wrong.
import { texts } from "../texts.js";

// The file as the response that it came as (a worker's policy is among its headers): beside any other, such as one made
// here of the same bytes, Chromium would keep no compiled code.
export async function checkFile(url, path, { integrity }, count = () => {}) {
  const response = await fetch(url).catch((error) => Promise.reject(new Error(texts.failure.fetch(path, error.message))));
  if (!response.ok) throw new Error(texts.failure.fetch(path, `HTTP ${response.status}`));
  const file = response.clone();
  const parts = [];
  try {
    for (const reader = response.body.getReader(); ;) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      count(value.length);
    }
  } catch (error) {
    throw new Error(texts.failure.fetch(path, error.message));
  }
  const digest = await crypto.subtle.digest("SHA-256", await new Blob(parts).arrayBuffer());
  const found = `sha256-${btoa(String.fromCharCode(...new Uint8Array(digest)))}`;
  if (found !== integrity) throw new Error(texts.failure.digest(path, integrity, found));
  return file;
}
