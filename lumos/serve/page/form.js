// What is asked for: the form, its draft, which outlives a reload, and filling it from a record.

import { Refusal, call } from "./api.js";

const DRAFT = "lumos.draft";
const FIELDS = ["prompt", "model", "seed", "seconds", "size", "num_inference_steps", "guidance_scale", "preset",
  "negative_prompt", "others"];
const OWN = [...FIELDS, "width", "height", "duration"]; // settings with a field of their own
const LARGEST_DRAFT = 2_000_000; // characters of a picture that is kept with the draft
const field = (id) => document.getElementById(id);

let picture = null; // {name, address}: a data: address
let before = null; // {id, prompt}: the video whose clip before it is gone on from
let models = [];
let examples = {};
let wantedModel = ""; // of the draft, until the models are known
let ready = null; // a promise: the models are shown
let attempt = { text: "", key: "" };

/** Begin: a draft is taken up again, `known` promises models and examples, `made` is told of each new video. */
export function beginForm(known, made) {
  takeUpDraft();
  ready = known.then((found) => {
    ({ models, examples } = found);
    field("model").replaceChildren(...models.map((one) => new Option(one.id, one.id)));
    if (models.some((one) => one.id === wantedModel)) field("model").value = wantedModel;
    modelChanged();
  });
  field("model").addEventListener("change", modelChanged);
  field("form").addEventListener("input", (event) => {
    event.target.removeAttribute("aria-invalid");
    keepDraft();
  });
  field("form").addEventListener("submit", (event) => {
    event.preventDefault();
    submit(made);
  });
  field("form").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      submit(made);
    }
  });
  field("dice").addEventListener("click", () => {
    field("seed").value = String(crypto.getRandomValues(new Uint32Array(1))[0] >>> 1);
    keepDraft();
  });
  field("input_reference").addEventListener("change", pictureChosen);
  field("picture-remove").addEventListener("click", () => {
    showPicture(null);
    field("input_reference").focus();
  });
  field("before-remove").addEventListener("click", () => {
    showBefore(null);
    field("prompt").focus();
  });
  field("clear").addEventListener("click", () => {
    fill({ prompt: "", model: field("model").value, settings: {} });
    field("prompt").focus();
  });
}

/** Fill the form with what made a video. */
export async function fillFrom(id) {
  const text = await (await call(`v1/videos/${encodeURIComponent(id)}/record`)).text();
  const record = JSON.parse(text);
  record.seed = /"seed": (\d+)/.exec(text)[1]; // a whole number may be larger than JavaScript's
  if (record.has_picture) {
    const content = await (await call(`v1/videos/${encodeURIComponent(id)}/picture`)).blob();
    record.picture = { name: "first frame of that video", address: await readAsAddress(content) };
  }
  fill(record);
  field("form").scrollIntoView({ block: "start" });
  field("prompt").focus({ preventScroll: true });
}

function fill(record) {
  const isServed = models.some((one) => one.id === record.model);
  if (isServed) field("model").value = record.model;
  modelChanged();
  const { duration, num_inference_steps, guidance_scale, preset, ...others } = record.settings;
  if (record.num_before) { // its size is the clip's, its length that of what is added
    for (const name of ["width", "height", "num_frames"]) delete others[name];
    others.num_frames = record.num_frames - record.num_before;
  }
  const { width, height } = others;
  if (width && height) ["width", "height"].forEach((name) => delete others[name]);
  if (record.then) others.then = record.then;
  const named = typeof preset === "string" && [...field("preset").options].some((one) => one.value === preset);
  if (preset !== undefined && !named) others.preset = preset;
  const values = {
    prompt: record.prompt,
    seed: record.seed ?? "",
    seconds: duration ?? "",
    size: width && height ? `${width}x${height}` : "",
    num_inference_steps: num_inference_steps ?? "",
    guidance_scale: guidance_scale ?? "",
    preset: named ? preset : "",
    negative_prompt: record.negative_prompt ?? "",
    others: Object.entries(others).map(([name, value]) => `${name} = ${written(value)}`).join("\n"),
  };
  for (const [name, value] of Object.entries(values)) field(name).value = value;
  field("fast").checked = false; // the settings that it stands for are among the others
  if (FIELDS.slice(3).some((name) => field(name).value !== "")) field("options").open = true;
  showPicture(record.picture ?? null);
  showBefore(record.num_before ? { id: record.id, prompt: record.prompt } : null);
  say(isServed ? "" : `The model ${record.model} is served no more; choose another one.`, "model");
}

/** A setting as a line of the other settings has it: a text as it is, where it is read as that text again. */
function written(value) {
  if (typeof value !== "string" || /^\s|\s$|\n/.test(value)) return JSON.stringify(value);
  try {
    JSON.parse(value);
    return JSON.stringify(value);
  } catch {
    return value;
  }
}

async function submit(made) {
  const button = field("submit");
  if (button.disabled) return;
  button.disabled = true;
  try {
    await ready; // whoever types faster than the server answers waits for it
    const text = JSON.stringify({ ...read(), before: before?.id });
    if (text !== attempt.text) attempt = { text, key: randomKey() }; // the same again after no answer is one job
    say("");
    const headers = { "Idempotency-Key": attempt.key };
    const video = await (await (before === null ? call("v1/videos", { method: "POST", json: text, headers })
      : goOn(before.id, headers))).json();
    attempt = { text: "", key: "" };
    made(video);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (error.status !== 0) attempt = { text: "", key: "" };
    say(error.message, error.param);
  } finally {
    button.disabled = false;
  }
}

/** Ask for what follows the clip before a video. */
async function goOn(id, headers) {
  const form = new FormData();
  for (const [name, value] of Object.entries(read())) form.append(name, value);
  form.append("video", await (await call(`v1/videos/${encodeURIComponent(id)}/before`)).blob(), "before.mp4");
  return call("v1/videos/extensions", { method: "POST", form, headers });
}

function read() {
  const body = {};
  for (const line of field("others").value.split("\n").filter((one) => one.trim())) {
    const found = /^\s*(\w+)\s*[=:]\s*(.*?)\s*$/.exec(line);
    if (found === null) throw new Refusal(0, `Other settings: write "${line.trim()}" as name = value.`, { param: "others" });
    body[found[1]] = found[2];
  }
  for (const name of FIELDS.filter((one) => one !== "others")) {
    if (field(name).value.trim() !== "") body[name] = field(name).value;
  }
  if (body.prompt === undefined) throw new Refusal(0, "Write a prompt first.", { param: "prompt" });
  if (field("fast").checked) body.fast = true;
  if (picture !== null) body.input_reference = picture.address;
  return body;
}

function say(message, param = null) {
  field("form-error").textContent = message;
  for (const wrong of field("form").querySelectorAll("[aria-invalid]")) wrong.removeAttribute("aria-invalid");
  if (!message) return;
  const at = { width: "size", height: "size", num_frames: "seconds" }[param] ?? param;
  const wrong = [...FIELDS, "input_reference"].includes(at) ? field(at) : null;
  if (wrong === null) return;
  wrong.setAttribute("aria-invalid", "true");
  if (field("options").contains(wrong)) field("options").open = true;
  wrong.focus({ preventScroll: true });
}

function modelChanged() {
  const model = models.find((one) => one.id === field("model").value);
  if (model === undefined) return;
  const takes = model.tasks.includes("i2v") ? "" : "; it takes no picture";
  const length = model.num_frames > 1 ? `, ${model.num_frames} frames at ${model.fps} a second` : "";
  field("model-hint").textContent = `${model.title}, by default ${model.size}${length}${takes}`;
  field("size").placeholder = model.size;
  const kept = field("preset").value;
  field("preset").replaceChildren(new Option("the model's own", ""), ...model.presets.map((one) => new Option(one, one)));
  field("preset").value = model.presets.includes(kept) ? kept : "";
  field("preset-field").hidden = model.presets.length === 0;
  field("others-hint").textContent = `Of this model: ${model.settings.filter((name) => !OWN.includes(name)).join(", ")}`;
  const shown = examples[model.id] ?? [];
  field("examples").hidden = shown.length === 0;
  field("examples").replaceChildren(...shown.map(chip));
}

function chip(example) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = example.prompt;
  button.addEventListener("click", () => {
    field("prompt").value = example.prompt;
    field("seed").value = String(example.seed);
    keepDraft();
    field("prompt").focus();
  });
  return button;
}

async function pictureChosen() {
  const [file] = field("input_reference").files;
  if (file === undefined) return;
  try {
    showPicture({ name: file.name, address: await readAsAddress(file) });
    say("");
  } catch {
    say(`The browser cannot read ${file.name}.`, "input_reference");
  }
}

function readAsAddress(content) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onerror = () => reject(reader.error);
    reader.onload = () => {
      const [kind, data = ""] = reader.result.split(",", 2);
      resolve(`${/^data:image\/[a-z0-9.+-]+;base64$/.test(kind) ? kind : "data:image/png;base64"},${data}`);
    };
    reader.readAsDataURL(content);
  });
}

function showPicture(chosen) {
  picture = chosen;
  field("picture-shown").hidden = chosen === null;
  field("input_reference").hidden = chosen !== null;
  if (chosen === null) {
    field("input_reference").value = "";
    field("picture-image").removeAttribute("src");
  } else {
    field("picture-image").src = chosen.address;
    field("picture-name").textContent = chosen.name;
  }
  keepDraft();
}

function showBefore(chosen) {
  before = chosen;
  field("before-shown").hidden = chosen === null;
  field("before-name").textContent = chosen === null ? "" : `\u201c${chosen.prompt}\u201d`;
  field("picture-field").hidden = chosen !== null;
  keepDraft();
}

function keepDraft() {
  const values = Object.fromEntries(FIELDS.map((name) => [name, field(name).value]));
  values.model ||= wantedModel;
  const kept = picture !== null && picture.address.length <= LARGEST_DRAFT ? picture : null;
  const draft = { values, fast: field("fast").checked, picture: kept, before, open: field("options").open };
  try {
    sessionStorage.setItem(DRAFT, JSON.stringify(draft));
  } catch {
    sessionStorage.setItem(DRAFT, JSON.stringify({ ...draft, picture: null }));
  }
}

function takeUpDraft() {
  const text = sessionStorage.getItem(DRAFT);
  if (text === null) return;
  const draft = JSON.parse(text);
  for (const name of FIELDS.filter((one) => one !== "model" && one !== "preset")) field(name).value = draft.values[name] ?? "";
  wantedModel = draft.values.model;
  field("preset").replaceChildren(new Option(draft.values.preset, draft.values.preset));
  field("fast").checked = draft.fast;
  field("options").open = draft.open;
  const clip = draft.before ?? null; // before the picture is shown, which keeps the draft anew
  showPicture(draft.picture);
  showBefore(clip);
}

function randomKey() {
  return [...crypto.getRandomValues(new Uint32Array(4))].map((part) => part.toString(16)).join("-");
}
