// The list of recordings with all that a person does to a row of it.
import { texts } from "../texts.js";
import { showCertificate } from "./certificate_view.js";
import { HeldFiles, saveAddress, saveFile } from "./held_files.js";
import { Player } from "./player.js";
import { RecordingsView } from "./recordings_view.js";
import { SearchView } from "./search_view.js";
import { Undo } from "./undo.js";

const element = (id) => document.getElementById(id);

// `send(message)` reaches the worker; `undoS` is how long a deletion can be taken back.
export function makeLibrary({ send, undoS }) {
  const heldFiles = new HeldFiles(send);
  const acts = {
    play: (row) => player.open(row),
    async download(row) {
      if (row.hasMedia || row.play === "server") {
        return saveAddress(`/api/recordings/${row.recordingId}/media?download=${row.hasMedia ? "media" : "original"}`, "");
      }
      for (const file of (await heldFiles.read(row)).files) saveFile(file);
    },
    "download-held": (row) => acts.download({ ...row, play: "device", hasMedia: false }),
    retry: ({ recordingId }) => send({ type: "retry-parked", recordingId }),
    rename: ({ recordingId }) => list.edit(recordingId),
    renamed: ({ recordingId, title }) => send({ type: "rename", recordingId, title }),
    certificate: (row) => showCertificate(element("certificate"), row),
    delete: (row) => undo.ask(row),
    refresh: () => list.refresh(),
  };
  const sought = new SearchView({ search: element("search"), filter: element("filter"), onChange: () => list.search() });
  const list = new RecordingsView({
    list: element("recordings"),
    sought,
    more: element("recordings-more"),
    empty: element("recordings-empty"),
    act: (name, row) => acts[name](row),
    wantMore: () => send({ type: "list-more" }),
    seek: () => send({ type: "search-list", ...sought.message }),
  });
  const player = new Player({ dialog: element("player"), heldFiles, findRow: (recordingId) => list.find(recordingId) });
  element("player-download").onclick = () => acts.download(player.row);
  element("free-space").onclick = () => send({ type: "free-space" });
  const undo = new Undo({
    region: element("toasts"),
    delayS: undoS,
    hide: (recordingId, isHidden) => list.hide(recordingId, isHidden),
    carryOut: (recordingId) => send({ type: "delete-recording", recordingId }),
    refocus(recordingId) {
      const row = recordingId && element("recordings").querySelector(`[data-recording-id="${recordingId}"] [data-act="delete"]`);
      (row || element("recordings-heading")).focus();
    },
  });
  const restart = () => {
    heldFiles.abandon(texts.player.restarted);
    list.restart();
  };
  const show = ({ recordings }, { liveId, countdownS, recordingId }) =>
    list.show(recordings, liveId, countdownS ? recordingId : "");
  return { list, heldFiles, show, restart };
}
