// The files of this page's own build, each checked before it is kept in the Cache API under the build's name. From
// there, or else from the HTTP cache, workers and Pyodide take them under addresses that can carry no digest.
import { checkFile } from "./checked_file.js";

export class KeptBuild {
  constructor(build, base) {
    // It is whole until a file could not be kept.
    Object.assign(this, { build, base, files: { ...build.files, ...build.snapshot?.files }, keeping: [], isWhole: true });
  }

  // `names` are the addresses that are kept for certain; without them they are looked up.
  async open(names) {
    try {
      this.cache = await caches.open(`holdfast-${this.build.name}`); // absent in an old or a private browser
      this.names = names ?? new Set((await this.cache.keys()).map(({ url }) => url));
    } catch {
      this.isWhole = false;
    }
    return this;
  }

  has = (path) => Boolean(this.names?.has(new URL(path, this.base).href));

  // A file that is kept already, as a response.
  async find(path) {
    const file = await this.cache.match(new URL(path, this.base), { ignoreVary: true });
    return file ?? Promise.reject(new Error(`${path} is not kept any more`));
  }

  // Rejects only if the file cannot be had whole; one that cannot be kept is used all the same. Nobody who needs the
  // file waits until it is written, `whole` does.
  async load(path, count) {
    if (this.has(path)) return;
    const url = new URL(path, this.base);
    const file = await checkFile(url, path, this.files[path], count);
    this.keeping.push(this.cache?.put(url, file).then(() => this.names.add(url.href), () => (this.isWhole = false)));
  }

  // Whether all files that were loaded are kept now.
  whole = () => Promise.all(this.keeping).then(() => this.isWhole);
}
