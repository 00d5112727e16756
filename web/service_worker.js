// Serves the page and its runtime from the cache of its own build, so that the page opens without a network.
// It never sees `/api/*`. It takes over no page that is open (no skipWaiting, no claim), and it forgets another
// build only when no page holds that build's lock: a page that records always finds its own files.
const BUILD = null; // build: {name, files: digest by path, the index under ""} is written here

const SCOPE = self.registration.scope;
const CACHE = `holdfast-${BUILD.name}`;
const ONE_PAGE = { ignoreVary: true }; // the server varies by coding; here everything lies decoded

self.addEventListener("install", (event) => {
  event.waitUntil(navigator.locks.request(`build:${BUILD.name}`, { mode: "shared" }, install));
});

self.addEventListener("activate", (event) => event.waitUntil(forgetOthers()));

self.addEventListener("fetch", (event) => {
  const { method, mode, url, cache } = event.request;
  if (method !== "GET" || !url.startsWith(SCOPE) || cache === "only-if-cached") return;
  const path = url.slice(SCOPE.length).split(/[?#]/, 1)[0];
  if (mode === "navigate" && (path === "" || path === "index.html")) {
    event.respondWith(answer(event.request, SCOPE));
    event.waitUntil(forgetOthers());
  } else if (path.startsWith("assets/")) {
    event.respondWith(answer(event.request, url));
  }
});

// Whole or not at all: one file that does not come, or comes with another digest, and this build is not installed.
async function install() {
  const cache = await caches.open(CACHE);
  const kept = new Set((await cache.keys()).map(({ url }) => url));
  await Promise.all(Object.entries(BUILD.files).map(async ([path, integrity]) => {
    const url = new URL(path, SCOPE).href;
    if (kept.has(url)) return; // by the page, which compared its digest
    const response = await fetch(url, { integrity, cache: path === "" ? "no-cache" : "default" });
    if (!response.ok) throw new Error(`${url}: HTTP ${response.status}`);
    await cache.put(url, response);
  }));
}

// The index comes from this build alone. Files under assets/ are named by their content, so any cache's will do:
// a page of another build, whose worker is being replaced, may ask here.
async function answer(request, url) {
  const own = await caches.match(url, { ...ONE_PAGE, cacheName: CACHE });
  return own ?? (url === SCOPE ? null : await caches.match(url, ONE_PAGE)) ?? fetch(request);
}

async function forgetOthers() {
  if (self.registration.installing || self.registration.waiting) return; // whose files lie here for later
  for (const name of await caches.keys()) {
    const build = name.match(/^holdfast-(.*)$/)?.[1];
    if (build === undefined || name === CACHE) continue;
    await navigator.locks.request(`build:${build}`, { ifAvailable: true }, (lock) => lock && caches.delete(name));
  }
}
