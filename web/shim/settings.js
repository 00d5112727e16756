// Settings by query string, for tests and only on a loopback host: nobody can be sent a link that changes them.

const LOOPBACK = new Set(["localhost", "127.0.0.1", "[::1]"]);

// The texts as they stand; the worker's Settings say which exist and of which type they are.
export function readSettings({ hostname, search }) {
  return LOOPBACK.has(hostname) ? Object.fromEntries(new URLSearchParams(search)) : {};
}
