// The page: form, clip, queue and history, put together.

import { Refusal, call } from "./api.js";
import { beginForm, fillFrom } from "./form.js";
import { beginHistory, look } from "./history.js";
import { clear, show, showAgain, shown } from "./stage.js";

const part = (id) => document.getElementById(id);

function say(message) {
  part("server-state").textContent = message;
}

function watch(video) {
  begun(video);
  part("stage-title").focus({ preventScroll: true });
}

/** Show a video; the focus stays where it is. */
function begun(video) {
  show(video, changed);
  part("stage").scrollIntoView({ block: "nearest" });
  look();
}

let status = null;

function changed(video) {
  if (video.status !== status) look(); // progress comes by itself; another state is news for the lists
  status = video.status;
}

async function again(video) {
  say("");
  try {
    await fillFrom(video.id);
    part("told").textContent = "The form is filled as for that video.";
  } catch (error) {
    say(error.message);
  }
}

async function cancel() {
  const video = shown();
  if (video === null) return;
  try {
    await call(`v1/videos/${video.id}`, { method: "DELETE" });
    clear();
    part("stage-title").focus();
    await look();
  } catch (error) {
    part("stage-error").textContent = error.message;
  }
}

/** The models and the examples of the server, once it answers. */
async function known() {
  for (let wait = 1000; ; wait = Math.min(2 * wait, 10000)) {
    try {
      const models = (await (await call("v1/models")).json()).data;
      const examples = await (await call("page/examples.json")).json();
      say("");
      return { models, examples };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      say(error.message);
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
}

async function begin() {
  const found = known();
  beginForm(found, begun); // before the server answers: nothing that is typed meanwhile is lost
  await found;
  part("stage-again").addEventListener("click", () => again(shown()));
  part("stage-cancel").addEventListener("click", cancel);
  const removed = (video) => shown()?.id === video.id && clear();
  await Promise.all([beginHistory({ watch, again, removed, fault: say }), showAgain(changed)]);
}

begin();
