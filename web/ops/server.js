// The server's JSON routes. What fails becomes a `Failure` in the server's own words.
const ANSWER_MS_MAX = 15_000;

export class Failure extends Error {
  constructor(words, code) {
    super(words);
    this.code = code;
  }
}

export async function ask(path, { method = "GET" } = {}) {
  const answer = await send(path, method);
  const body = await answer.json().catch(() => null);
  if (answer.ok && body !== null) return body;
  throw new Failure([body?.detail ?? `the server answered ${answer.status}`, body?.next_step].filter(Boolean).join(". "), body?.code);
}

export async function askBytes(path) {
  const answer = await send(path, "GET");
  if (!answer.ok) {
    const body = await answer.json().catch(() => null);
    throw new Failure(body?.detail ?? `the server answered ${answer.status}`, body?.code);
  }
  return new Uint8Array(await answer.arrayBuffer());
}

async function send(path, method) {
  try {
    return await fetch(path, { method, cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS_MAX) });
  } catch {
    throw new Failure("The server does not answer", "no-answer");
  }
}
