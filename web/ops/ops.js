// The operator's page: the last hour once, then what there is now every two seconds while somebody looks.
import { AuditView } from "./audit.js";
import { Charts } from "./charts.js";
import { baseline, between } from "./figures.js";
import { LedgerView } from "./ledger.js";
import { showNow, showVerdict } from "./now.js";
import { ask } from "./server.js";

const LOOK_MS = 2_000;
const AUDIT_EVERY_MS = 10_000;
const FIGURES_OVER_S = 8; // long enough that figures do not jump
const HOUR_S = 3_600;

const charts = new Charts(document.getElementById("charts"));
const audit = new AuditView(document.getElementById("audit"));
new LedgerView(document.getElementById("browser"), document.getElementById("search"));
const live = []; // samples of the last moments
let hour = []; // samples of the last hour, thinner
let auditedAtMs = -Infinity;

async function look() {
  let overview, failure;
  try {
    overview = await ask("/api/ops/now");
  } catch (error) {
    failure = error;
  }
  showVerdict(overview, failure);
  document.body.dataset.state = failure ? "failed" : "shown";
  if (failure) return;
  live.push(overview.now);
  while (live.length > 2 && live.at(-1).at - live[1].at >= FIGURES_OVER_S) live.shift();
  showNow(overview, between(baseline(live, FIGURES_OVER_S), overview.now) ?? between(hour.at(-1) ?? overview.now, overview.now));
  drawHour(overview.now);
  if (performance.now() - auditedAtMs > AUDIT_EVERY_MS) {
    auditedAtMs = performance.now();
    await audit.refresh(overview.findings);
  }
}

function drawHour(now) {
  if (!hour.length || now.at - hour.at(-1).at >= FIGURES_OVER_S) hour.push(now);
  hour = hour.filter((sample) => now.at - sample.at <= HOUR_S);
  charts.show(hour.slice(1).map((sample, place) => between(hour[place], sample)));
}

async function keepLooking() {
  for (;;) {
    if (!document.hidden) await look();
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

hour = (await ask("/api/ops/history").catch(() => ({ samples: [] }))).samples;
keepLooking();
