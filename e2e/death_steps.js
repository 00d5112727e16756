// Runs inside the worker: stops it in the middle of one step of a chunk's life, and says so to the window just before.
// `step`: "sealing" (half of the seal record is written) or "clear" (the cleared record is flushed, the recording's
// slices are gone and its journal is still there). `isEnding`: the worker also ends there, as a terminated one would.
({ step, recordingId, isEnding }) => {
  const say = () => new BroadcastChannel("death-steps").postMessage(step);
  if (step === "clear") {
    const remove = FileSystemDirectoryHandle.prototype.removeEntry;
    FileSystemDirectoryHandle.prototype.removeEntry = async function (name, options) {
      if (name !== recordingId) return remove.call(this, name, options);
      const folder = await this.getDirectoryHandle(name);
      for (const file of await Array.fromAsync(folder.keys())) {
        if (file.startsWith("slices-")) await remove.call(folder, file);
      }
      say();
      if (isEnding) self.close();
      return new Promise(() => {});
    };
    return;
  }
  const write = FileSystemSyncAccessHandle.prototype.write;
  const latin1 = new TextDecoder("latin1");
  FileSystemSyncAccessHandle.prototype.write = function (bytes, options) {
    const isSealRecord = bytes.length < 4096 && latin1.decode(bytes).includes("\xa4kind\xa6sealed");
    if (!isSealRecord) return write.call(this, bytes, options);
    write.call(this, bytes.subarray(0, bytes.length >> 1), options);
    say();
    if (isEnding) self.close();
    for (;;);
  };
}
