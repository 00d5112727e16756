// Holds every file of a recording's folder open, as the handle of a tab that died may go on doing; "release" lets go.
let held = [];
self.onmessage = async ({ data }) => {
  if (data === "release") {
    for (const handle of held) handle.close();
    return self.postMessage("released");
  }
  const root = await (await navigator.storage.getDirectory()).getDirectoryHandle("holdfast");
  const folder = await root.getDirectoryHandle(data);
  for await (const entry of folder.values()) held.push(await entry.createSyncAccessHandle());
  self.postMessage(held.length);
};
