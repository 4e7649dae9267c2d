// One clip: its frames as they are made, then the video.

import { Refusal, addressOf, call, events } from "./api.js";

const SHOWN = "lumos.shown";
const part = (id) => document.getElementById(id);
const EMPTY = part("stage-empty").textContent;
const still = matchMedia("(prefers-reduced-motion: reduce)");
let current = null; // {video, stop: AbortController, waiting: [bitmap], due, drawn, address}

/** The video that is shown; null: none. */
export const shown = () => current?.video ?? null;

/** Show a video, and follow it until it is finished; `changed` is told of every new state. */
export function show(video, changed) {
  clear();
  const stop = new AbortController();
  current = { video, stop, waiting: [], due: 0, drawn: 0, timer: 0, address: null };
  sessionStorage.setItem(SHOWN, video.id);
  part("stage-empty").textContent = "Its first frame comes soon.";
  part("stage-about").hidden = false;
  part("stage-prompt").textContent = video.prompt;
  part("stage-error").textContent = "";
  part("screen").style.setProperty("--shape", video.size.replace("x", " / "));
  part("screen").classList.toggle("small", Number(video.size.split("x")[0]) <= 192);
  tell(video);
  follow(current, changed);
}

/** Show again what was shown before a reload, if it is there still. */
export async function showAgain(changed) {
  const id = sessionStorage.getItem(SHOWN);
  if (id === null) return;
  try {
    show(await (await call(`v1/videos/${encodeURIComponent(id)}`)).json(), changed);
  } catch {
    sessionStorage.removeItem(SHOWN);
  }
}

/** Show nothing. */
export function clear() {
  if (current === null) return;
  current.stop.abort();
  clearTimeout(current.timer);
  if (current.address !== null) URL.revokeObjectURL(current.address);
  current = null;
  sessionStorage.removeItem(SHOWN);
  part("video").removeAttribute("src");
  part("video").load();
  for (const id of ["video", "frames", "stage-about", "stage-save"]) part(id).hidden = true;
  part("stage-empty").textContent = EMPTY;
  part("stage-empty").hidden = false;
}

async function follow(clip, changed) {
  const { video, stop } = clip;
  let last = -1;
  let failures = 0;
  while (!stop.signal.aborted) {
    try {
      for await (const [name, data] of events(video.id, last, stop.signal)) {
        if (stop.signal.aborted) return;
        failures = 0;
        part("stage-error").textContent = "";
        if (name === "video.frame") {
          last = data.index;
          await take(clip, data);
        } else if (name === "video.deleted") {
          return clear();
        } else {
          clip.video = data;
          tell(data);
          changed(data);
          if (name === "video.completed") return await play(clip);
          if (name === "video.failed") return;
        }
      }
    } catch (error) {
      if (stop.signal.aborted) return;
      const isFinal = error instanceof Refusal && error.status >= 400 && ![429, 503].includes(error.status);
      part("stage-error").textContent = error instanceof Refusal ? error.message : "The connection broke; trying again.";
      if (isFinal) return;
    }
    failures += 1;
    await new Promise((resolve) => setTimeout(resolve, 500 * Math.min(failures, 10)));
  }
}

async function take(clip, data) {
  const bytes = Uint8Array.from(atob(data.frame), (letter) => letter.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes], { type: data.media_type }));
  clip.waiting.push({ bitmap, index: data.index, total: data.num_frames });
  if (clip.waiting.length === 1) drawNext(clip);
}

/** Draw what waits, not faster than the video will play; at once where motion is not wanted. */
function drawNext(clip) {
  const [frame] = clip.waiting;
  if (frame === undefined || clip !== current) return;
  const now = performance.now();
  if (!still.matches && clip.due > now) {
    clip.timer = setTimeout(() => drawNext(clip), clip.due - now);
    return;
  }
  clip.due = Math.max(now, clip.due) + 1000 / clip.video.fps;
  clip.waiting.shift();
  const canvas = part("frames");
  canvas.width = frame.bitmap.width;
  canvas.height = frame.bitmap.height;
  canvas.getContext("2d").drawImage(frame.bitmap, 0, 0);
  canvas.hidden = !part("video").hidden;
  part("stage-empty").hidden = true;
  canvas.setAttribute("aria-label", `Frame ${frame.index + 1} of ${frame.total}`);
  frame.bitmap.close();
  drawNext(clip);
}

async function play(clip) {
  const path = `v1/videos/${encodeURIComponent(clip.video.id)}/content`;
  try {
    clip.address = await addressOf(path, { signal: clip.stop.signal });
  } catch (error) {
    if (!clip.stop.signal.aborted) part("stage-error").textContent = error.message;
    return;
  }
  if (clip !== current) return URL.revokeObjectURL(clip.address);
  const video = part("video");
  video.src = clip.address;
  video.setAttribute("aria-label", `The clip: ${clip.video.prompt}`);
  video.addEventListener("loadeddata", () => {
    if (clip !== current) return;
    clip.waiting.length = 0;
    video.hidden = false;
    part("stage-empty").hidden = true;
    part("frames").hidden = true;
    if (!still.matches) video.play().catch(() => {}); // the browser does not let it; the controls are there
  }, { once: true });
  part("stage-save").href = clip.address;
  part("stage-save").download = `${clip.video.id}.mp4`;
  part("stage-save").hidden = false;
}

function tell(video) {
  const isOver = video.status === "completed" || video.status === "failed";
  part("stage-progress").hidden = isOver;
  part("stage-progress").value = video.progress;
  part("stage-cancel").hidden = isOver;
  part("stage-state").textContent = stateOf(video);
  if (isOver) part("stage-empty").hidden = true;
  if (video.status === "failed") part("stage-error").textContent = video.error?.message ?? "It failed.";
  const quarter = isOver || video.status === "queued" ? video.status : `${Math.floor(video.progress / 25) * 25} % is made.`;
  const news = { completed: "The clip is finished.", failed: "The clip failed.", queued: "The clip waits." }[quarter];
  if (part("told").textContent !== (news ?? quarter)) part("told").textContent = news ?? quarter;
}

/** The state of a video in a few words. */
export function stateOf(video) {
  const about = `${video.model} · seed ${video.seed} · ${video.size}`;
  const length = video.num_frames === 1 ? "1 frame" : `${video.num_frames} frames`;
  if (video.status === "in_progress") return `${video.frames_done} of ${length} made · ${about}`;
  if (video.status === "queued") {
    const before = video.queue_position; // others that wait
    return `${before ? `Waits, ${before} before it` : "Is next"} · ${about} · ${length}`;
  }
  const took = video.inference_time_s ? ` · took ${video.inference_time_s.toFixed(1)} s` : "";
  return `${about} · ${length}${took}`;
}
