// What waits and what was made: two lists of the same videos, looked at again and again.

import { addressOf, call } from "./api.js";
import { stateOf } from "./stage.js";

const BUSY_MS = 1500;
const IDLE_MS = 15000;
const PAGE = 20;
const part = (id) => document.getElementById(id);
const cards = new Map(); // id -> {element, video}
let older = [];
let doing = {};
let timer = 0;
let looks = 0;
let isLost = false; // whether the last look found no server

/** Begin; `actions` has `watch`, `again` and `removed`, each told a video, and `fault`, told a sentence or "". */
export function beginHistory(actions) {
  doing = actions;
  part("older").addEventListener("click", showOlder);
  document.addEventListener("visibilitychange", () => document.hidden || look());
  return look();
}

/** Look at the list now, and then again. */
export async function look() {
  clearTimeout(timer);
  const mine = ++looks;
  let isBusy = true;
  try {
    const { videos, hasMore } = await newest();
    if (mine !== looks) return; // another look began meanwhile, and knows more
    const ids = new Set(videos.map((one) => one.id));
    draw([...videos, ...older.filter((one) => !ids.has(one.id))]);
    if (older.length === 0) part("older").hidden = !hasMore;
    isBusy = videos.some(isWaiting);
    if (isLost) doing.fault("");
    isLost = false;
  } catch (error) {
    doing.fault(error.message);
    isLost = true;
  }
  if (mine === looks && !document.hidden) timer = setTimeout(look, isBusy ? BUSY_MS : IDLE_MS);
}

const isWaiting = (video) => video.status === "queued" || video.status === "in_progress";

/** The newest videos: a page, and more until all that wait are there. */
async function newest() {
  let videos = [];
  for (;;) {
    const page = await pageAfter(videos.at(-1)?.id);
    videos = [...videos, ...page.data];
    if (!page.has_more || !isWaiting(videos.at(-1))) return { videos, hasMore: page.has_more };
  }
}

async function pageAfter(id) {
  const after = id === undefined ? "" : `&after=${encodeURIComponent(id)}`;
  return (await call(`v1/videos?limit=${PAGE}${after}`)).json();
}

async function showOlder() {
  try {
    const page = await pageAfter([...cards.keys()].filter((id) => !isWaiting(cards.get(id).video)).at(-1));
    older = [...older, ...page.data];
    part("older").hidden = !page.has_more;
    await look();
  } catch (error) {
    doing.fault(error.message);
  }
}

function draw(videos) {
  const there = new Set(videos.map((one) => one.id));
  for (const id of [...cards.keys()]) if (!there.has(id)) remove(id);
  const place = (one) => (one.status === "in_progress" ? -1 : one.queue_position ?? 0);
  arrange(part("queue-list"), videos.filter(isWaiting).sort((one, other) => place(one) - place(other)), "queue-item");
  arrange(part("history-list"), videos.filter((one) => !isWaiting(one)), "history-item");
  part("queue-empty").hidden = videos.some(isWaiting);
  part("history-empty").hidden = videos.some((one) => !isWaiting(one));
  const order = videos.map((one) => [one.id, cards.get(one.id)]);
  cards.clear();
  for (const [id, card] of order) cards.set(id, card);
}

/** Have a list show these; what is there already stays as it is, the focus with it. */
function arrange(list, videos, template) {
  videos.forEach((video, index) => {
    let card = cards.get(video.id);
    if (card === undefined || card.template !== template) {
      const hadFocus = card?.element.contains(document.activeElement);
      card?.element.remove();
      card = newCard(video, template);
      cards.set(video.id, card);
      if (hadFocus) part(`${template.split("-")[0]}-title`).focus();
    }
    card.video = video;
    if (list.children[index] !== card.element) list.insertBefore(card.element, list.children[index] ?? null);
    tell(card);
  });
}

function newCard(video, template) {
  const element = part(template).content.firstElementChild.cloneNode(true);
  const card = { element, template, video, address: null };
  element.dataset.id = video.id;
  element.querySelector(".prompt").textContent = video.prompt;
  element.addEventListener("click", (event) => {
    const button = event.target.closest("[data-do]");
    if (button !== null) act(card, button).catch((error) => doing.fault(error.message));
  });
  const told = element.querySelector("details");
  told?.addEventListener("toggle", () => told.open && showRecord(card).catch((error) => doing.fault(error.message)));
  if (template === "history-item") showThumbnail(card).catch(() => {}); // it has expired in this moment
  return card;
}

function tell({ element, video, template }) {
  element.querySelector(".state").textContent = stateOf(video);
  if (template === "queue-item") {
    element.querySelector("progress").value = video.progress;
  } else {
    element.querySelector(".error").textContent = video.error?.message ?? "";
  }
}

async function showThumbnail(card) {
  const { element, video } = card;
  const button = element.querySelector(".thumb");
  button.setAttribute("aria-label", `Show: ${video.prompt}`);
  if (video.status !== "completed") {
    button.remove();
    element.querySelector("[data-do=save]").remove();
    return;
  }
  button.classList.toggle("small", Number(video.size.split("x")[0]) <= 192);
  card.address = await addressOf(`v1/videos/${video.id}/content?variant=thumbnail`);
  if (cards.get(video.id) === card) element.querySelector("img").src = card.address;
}

async function showRecord({ element, video }) {
  const answer = await call(`v1/videos/${video.id}/record`);
  element.querySelector("pre").textContent = await answer.text();
}

async function act(card, button) {
  const { video } = card;
  doing.fault("");
  switch (button.dataset.do) {
    case "watch": return doing.watch(video);
    case "again": return doing.again(video);
    case "save": return save(video);
    case "delete":
      if (card.template === "history-item" && !asksTwice(button)) return;
      await call(`v1/videos/${video.id}`, { method: "DELETE" });
      doing.removed(video);
      remove(video.id);
      return look();
  }
}

/** Whether a button was pressed for the second time; the first one asks. */
function asksTwice(button) {
  if (button.dataset.asked) return true;
  button.dataset.asked = "yes";
  button.textContent = "Delete for good?";
  setTimeout(() => {
    delete button.dataset.asked;
    button.textContent = "Delete";
  }, 4000);
  return false;
}

async function save(video) {
  const link = document.createElement("a");
  link.href = await addressOf(`v1/videos/${video.id}/content`);
  link.download = `${video.id}.mp4`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

function remove(id) {
  const card = cards.get(id);
  if (card === undefined) return;
  const hadFocus = card.element.contains(document.activeElement);
  card.element.remove();
  if (card.address !== null) URL.revokeObjectURL(card.address);
  cards.delete(id);
  older = older.filter((one) => one.id !== id);
  if (hadFocus) part(card.template === "queue-item" ? "queue-title" : "history-title").focus();
}
