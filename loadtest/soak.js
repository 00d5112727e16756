// The assignment's chunks for many minutes, each answer's time noted under the minute in which its request was sent.
//
//   make soak            (loadtest/soak.py: a fresh server, memory beside it, every byte counted afterwards)

import exec from "k6/execution";
import send, { options as assignment, setup } from "./assignment.js";

export { setup };

const MINUTES = Number(__ENV.MINUTES || 10);

// k6 sums up by a tag only where a threshold names it; these hold always.
const thresholds = {};
for (let minute = 0; minute < MINUTES; minute += 1) {
  thresholds[`http_req_duration{minute:${minute}}`] = ["max>=0"];
}

export const options = { ...assignment, thresholds };

let startedMs; // asked for once a virtual user: k6 makes the object anew each time

export default function (data) {
  startedMs ??= exec.scenario.startTime;
  const minute = Math.floor((Date.now() - startedMs) / 60000);
  exec.vu.metrics.tags.minute = String(minute);
  send(data);
}
