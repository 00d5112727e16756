// Fetches a file of the build, counts its bytes as they come and compares its digest. The browser's own `integrity`
// would say neither how far it is nor what was wrong.
import { texts } from "../texts.js";

// The file as a response that may be kept: its headers (a worker's policy is among them) with its bytes decoded.
export async function checkFile(url, path, { integrity }, count = () => {}) {
  const response = await fetch(url).catch((error) => Promise.reject(new Error(texts.failure.fetch(path, error.message))));
  if (!response.ok) throw new Error(texts.failure.fetch(path, `HTTP ${response.status}`));
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
  const whole = new Blob(parts);
  const digest = await crypto.subtle.digest("SHA-256", await whole.arrayBuffer());
  const found = `sha256-${btoa(String.fromCharCode(...new Uint8Array(digest)))}`;
  if (found !== integrity) throw new Error(texts.failure.digest(path, integrity, found));
  return new Response(whole, { headers: [...response.headers].filter(([name]) => !/^content-(encoding|length)$/.test(name)) });
}
