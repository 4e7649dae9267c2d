// Requests to the server: its key, its errors as one sentence, its events.

const KEY = "lumos.key";
const GONE = "The server does not answer; is it running? What you typed is kept.";

/** What the server refused, or that it did not answer (status 0). */
export class Refusal extends Error {
  constructor(status, message, { param = null } = {}) {
    super(message);
    this.status = status;
    this.param = param;
  }
}

/** The answer to a request; asks for the key where the server does. Throws a Refusal. */
export async function call(path, { method = "GET", json, form, headers = {}, signal } = {}) {
  for (;;) {
    const key = sessionStorage.getItem(KEY);
    const sent = { ...headers };
    if (key !== null) sent.Authorization = `Bearer ${key}`;
    if (json !== undefined) sent["Content-Type"] = "application/json";
    let answer;
    try {
      answer = await fetch(path, { method, headers: sent, body: json ?? form, signal, cache: "no-store" });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new Refusal(0, GONE);
    }
    if (answer.ok) return answer;
    if (answer.status !== 401) throw await refusalOf(answer);
    await anotherKey(key);
  }
}

/** A file of the server as an address that <img> and <video> take; to be revoked by whoever asks. */
export async function addressOf(path, options) {
  return URL.createObjectURL(await (await call(path, options)).blob());
}

/** The events of a video as they come, [name, data]; frames after the one numbered `last`. */
export async function* events(id, last, signal) {
  const headers = last < 0 ? {} : { "Last-Event-ID": String(last) };
  const answer = await call(`v1/videos/${encodeURIComponent(id)}/events`, { headers, signal });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    held += value;
    const whole = held.split("\n\n");
    held = whole.pop();
    for (const text of whole) {
      const lines = new Map(text.split("\n").map((line) => [line.split(":", 1)[0], line.replace(/^\w*: ?/, "")]));
      if (lines.has("data")) yield [lines.get("event"), JSON.parse(lines.get("data"))];
    }
  }
}

async function refusalOf(answer) {
  let told = {};
  try {
    told = (await answer.json()).error ?? {};
  } catch {
    // a proxy's page, or nothing
  }
  let message = told.message || `The server answered ${answer.status} and did not say why.`;
  const wait = answer.headers.get("Retry-After");
  if (wait !== null && !message.includes("try again in")) message += `; try again in ${wait} s`;
  return new Refusal(answer.status, message, { param: told.param });
}

let asked = null;

/** Wait until there is another key than the one that was refused; everybody waits for the same answer. */
function anotherKey(refused) {
  if (sessionStorage.getItem(KEY) !== refused) return Promise.resolve();
  asked ??= askForKey(refused !== null).finally(() => { asked = null; });
  return asked;
}

function askForKey(wasWrong) {
  const form = document.getElementById("key-form");
  const main = document.getElementById("main");
  const field = document.getElementById("key");
  const fault = document.getElementById("key-error");
  const say = (text) => {
    fault.textContent = text;
    field.setAttribute("aria-invalid", String(text !== ""));
  };
  form.hidden = false;
  main.hidden = true;
  say(wasWrong ? "The server does not know that key." : "");
  field.value = "";
  field.focus();
  return new Promise((resolve) => {
    form.onsubmit = (event) => {
      event.preventDefault();
      const key = field.value.trim();
      if (!/^[\x21-\x7e]+$/.test(key)) return say("A key has no spaces and no special letters.");
      sessionStorage.setItem(KEY, key);
      form.hidden = true;
      main.hidden = false;
      field.value = "";
      document.getElementById("prompt").focus();
      resolve();
    };
  });
}
