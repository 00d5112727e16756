// Whether this page will open without a network: its build's files are all kept, and its service worker is installed.
// The lock of the build keeps another build's service worker from forgetting the files while this page lives.

export const holdBuild = (build) => new Promise((resolve) => {
  navigator.locks.request(`build:${build.name}`, { mode: "shared" }, () => {
    resolve();
    return new Promise(() => {}); // for the page's whole life
  });
});

export class OfflineUse {
  // onChange("ready" or "not-ready"); onNextBuild() when a newer page waits until the last tab of this one is closed.
  constructor(onChange, onNextBuild) {
    Object.assign(this, { onChange, onNextBuild });
    this.isKept = null; // told by the worker before it starts the client
  }

  // Not before the first recording could begin: installing takes what the start needs.
  begin() {
    if (this.isKept === null || this.hasBegun) return;
    this.hasBegun = true;
    this.onChange("not-ready");
    if (!this.isKept || !navigator.serviceWorker) return;
    const { serviceWorker } = navigator;
    serviceWorker.register(new URL("service_worker.js", document.baseURI)).then((registration) => {
      // Without a controller this page came from the network and is the newest itself.
      const look = () => serviceWorker.controller && registration.waiting && this.onNextBuild();
      registration.onupdatefound = () => (registration.installing.onstatechange = look);
      look();
    }, () => {});
    navigator.serviceWorker.ready.then(() => this.onChange("ready"));
  }
}
