// Shows the server's certificate of a recording in words, and offers it as a file.
import { html, render } from "lit-html";
import { bytes, texts } from "../texts.js";
import { titleOf } from "./row_view.js";

const when = new Intl.DateTimeFormat(undefined, { dateStyle: "long", timeStyle: "medium" });

export async function showCertificate(dialog, row) {
  const address = `/api/recordings/${row.recordingId}/certificate`;
  const body = dialog.querySelector(".certificate-body");
  const file = dialog.querySelector(".certificate-file");
  Object.assign(file, { href: address, download: `${row.recordingId}-certificate.json`, hidden: true });
  render(html`<p>${texts.certificate.loading}</p>`, body);
  dialog.showModal();
  try {
    const response = await fetch(address);
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    const it = await response.json();
    const facts = texts.certificate.facts({
      title: titleOf(row), at: when.format(new Date(it.certified_at)), chunks: it.chunk_count, size: bytes(it.byte_count),
    });
    render(html`
      <p>${texts.certificate.meaning}</p>
      <dl class="facts">${facts.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}
        <dt>${texts.certificate.root}</dt><dd><code>${it.root}</code></dd></dl>`, body);
    file.hidden = false;
  } catch (error) {
    render(html`<p>${texts.certificate.failed(error.message)}</p>`, body);
  }
}
