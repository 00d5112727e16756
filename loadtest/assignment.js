// The load test of the assignment: 5,000 chunks of 1 KB a second for a minute, and every answer is 200.
//
//   k6 run loadtest/assignment.js            or, with a fresh server and the byte-level check after it: make load
//
// Chunk n of run R is called "R-n", and its 1,024 bytes follow from that name (loadtest/workload.py computes the same),
// so that afterwards every byte in the bucket can be told to be right, missing, doubled or foreign. n counts the
// iterations from 0 without a gap. An answer other than 200 is logged with its n: all others were acknowledged.

import http from "k6/http";
import { check } from "k6";
import { SharedArray } from "k6/data";
import exec from "k6/execution";

export const options = {
  scenarios: {
    chunks: {
      executor: "constant-arrival-rate",
      rate: Number(__ENV.RATE || 5000),
      timeUnit: "1s",
      duration: __ENV.DURATION || "60s",
      preAllocatedVUs: 500,
      maxVUs: 1000,
    },
  },
};

const URL = `${__ENV.BASE_URL || "http://localhost:3000"}/api/chunks/upload`;
const PARAMS = { headers: { "Content-Type": "application/json" } };
const DATA_CHARS = 1024;
const OFFSETS = 4096;
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
// Made once, not by each virtual user: one that k6 adds in the middle of the run would take the server's time for it.
const [FILLER] = new SharedArray("filler", () => [makeFiller(OFFSETS + DATA_CHARS)]);
// Of the virtual user's own: k6 makes this object anew whenever it is asked for, at a tenth of an iteration's cost.
let scenario;

// Characters that look random and are the same everywhere (Numerical Recipes' linear congruential generator).
function makeFiller(length) {
  const characters = [];
  for (let i = 0, x = 1; i < length; i += 1) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    characters.push(ALPHABET[x >>> 26]);
  }
  return characters.join("");
}

function makeData(chunkId, n) {
  const offset = (n * 131) % OFFSETS;
  return `${chunkId}:${FILLER.substring(offset, offset + DATA_CHARS - chunkId.length - 1)}`;
}

export function setup() {
  return { run: __ENV.RUN || `run${Date.now()}` };
}

export default function ({ run }) {
  scenario ??= exec.scenario;
  const n = scenario.iterationInTest;
  const chunkId = `${run}-${n}`;
  // As JSON.stringify writes it: nothing in an id or in the alphabet needs escaping, and k6 shares the server's cores.
  const response = http.post(URL, `{"chunkId":"${chunkId}","data":"${makeData(chunkId, n)}"}`, PARAMS);
  if (!check(response, { "status 200": (r) => r.status === 200 })) {
    console.error(`not-200 ${n} ${response.status}`);
  }
}
