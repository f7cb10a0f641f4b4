// Requests to the server: the token of this page goes with every change.

let token = "";

export function setToken(csrf) {
  token = csrf;
}

/** An answer that is no success; `body` is what the server said. */
export class Refusal extends Error {
  constructor(status, body) {
    super(body?.detail ?? `the server answered ${status}`);
    this.status = status;
    this.body = body;
  }
}

async function take(answer) {
  if (answer.status === 401) {
    location.assign("/login");
  }
  if (!answer.ok) {
    let body = null;
    try {
      body = await answer.json();
    } catch {
      // an answer without a body says all by its status
    }
    throw new Refusal(answer.status, body);
  }
  return answer;
}

export async function read(path) {
  return (await take(await fetch(path))).json();
}

export async function readBytes(path) {
  return (await take(await fetch(path))).arrayBuffer();
}

/** Send a file as it is. */
export async function sendFile(path, file) {
  const headers = { "content-type": "application/octet-stream", "x-csrf-token": token };
  return (await take(await fetch(path, { method: "POST", headers, body: file }))).json();
}

export async function send(path, body, method = "POST") {
  const answer = await fetch(path, {
    method,
    headers: { "content-type": "application/json", "x-csrf-token": token },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  return (await take(answer)).status === 204 ? null : answer.json();
}
