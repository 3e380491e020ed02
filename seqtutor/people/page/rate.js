"use strict";

// Two items, an answer, the next two. The token stands in the address behind #, which a browser sends to nobody.
const token = location.hash.slice(1);
const $ = (selector) => document.querySelector(selector);
const HALF = 0.5; // of a piece, that must have been heard before a vote counts
let state = null, shownAt = 0, busy = false, beyond = false, heard = [1, 1];

async function ask(path, body) {
  const headers = { "x-seqtutor-token": token, ...(body && { "content-type": "application/json" }) };
  const answer = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body) });
  if (!answer.ok) throw Object.assign(new Error(await answer.text()), { status: answer.status });
  return answer.json();
}

function say(words) {
  $("#notice").hidden = !words;
  $("#notice").textContent = words;
}

function card(item, index) {
  const node = $("#item").content.cloneNode(true).firstElementChild;
  node.querySelector(".picture").innerHTML = item.picture; // cleaned where it comes from; the page's policy runs nothing
  node.querySelector(".picture").classList.toggle("paper", /#[0-9a-f]{3,6}/i.test(item.picture) && !item.notes.length);
  node.querySelector(".text").textContent = item.text || item.problem;
  node.querySelector(".text").hidden = !(item.text || item.problem);
  const play = node.querySelector(".play"), name = index ? "the second" : "the first";
  node.querySelector(".transport").hidden = !item.notes.length;
  if (item.notes.length) {
    play.dataset.notes = JSON.stringify(item.notes);
    play.dataset.label = name;
    play.setAttribute("aria-label", `Play ${name}`);
  }
  const choose = node.querySelector(".choose");
  choose.dataset.answer = "ab"[index];
  choose.setAttribute("aria-keyshortcuts", index ? "B ArrowRight" : "A ArrowLeft");
  choose.append(index ? "The second" : "The first", Object.assign(document.createElement("kbd"), { textContent: index ? "→" : "←" }));
  return node;
}

function show(next) {
  stop();
  state = next;
  shownAt = performance.now();
  heard = state.items.map((item) => (item.notes.length ? 0 : 1));
  const over = state.done >= state.wanted && !beyond;
  const pair = $(".pair");
  pair.replaceChildren(...state.items.map(card));
  pair.hidden = $(".answers").hidden = over;
  $(".finished").hidden = !over;
  $("h1").textContent = over ? "Thank you" : "Which one do you prefer?";
  $("#file").textContent = state.file;
  $("#command").textContent = state.command;
  $("progress").max = state.wanted;
  $("progress").value = state.done;
  $("#count").textContent = `${state.done} of ${state.wanted} votes`;
  $("[data-undo]").disabled = !state.given;
  say(state.warning);
}

async function turn(path, body) {
  if (busy) return;
  busy = true;
  try {
    show(await ask(path, body));
  } catch (error) {
    // Another tab may have answered this pair, or this one did and the reply was lost.
    await ask("api/pair").then((next) => next.pair === state?.pair || show(next), () => {});
    document.querySelectorAll(".chosen").forEach((item) => item.classList.remove("chosen"));
    const said = error.status ? `${error.message}.` : "No answer: is the command 'seqtutor rate' still running?";
    const counted = error.status < 500 ? "Nothing was counted." : "It is not known whether that was counted.";
    say(body ? `${said} ${counted}` : said);
  } finally {
    busy = false;
  }
}

function vote(answer) {
  if (!state || busy || $(".answers").hidden) return;
  if (heard.some((part) => part < HALF)) {
    say("Listen to both first; half of each is enough. Space plays the one that is missing.");
    return;
  }
  const index = "ab".indexOf(answer);
  if (index >= 0) document.querySelectorAll(".pair .item")[index].classList.add("chosen");
  turn("api/vote", { pair: state.pair, answer, ms: Math.round(performance.now() - shownAt) });
}

const undo = () => state?.given && turn("api/undo", {});

// Space: the first that was not heard yet; while one plays, the other; when the second plays, silence.
function listen() {
  const buttons = [...document.querySelectorAll(".pair button[data-notes]")];
  if (!buttons.length) return;
  const now = playing ? buttons.indexOf(playing.button) : -1;
  if (now === buttons.length - 1) stop();
  else play(buttons[now >= 0 ? now + 1 : Math.max(0, heard.findIndex((part) => part < HALF))]);
}

setInterval(() => {
  if (!playing) return;
  const items = [...document.querySelectorAll(".pair .item")], index = items.indexOf(playing.button.closest(".item"));
  const part = Number(playing.bar.style.transform.match(/[\d.]+/)?.[0] ?? 0);
  if (index < 0) return;
  heard[index] = Math.max(heard[index], part);
  items[index].classList.toggle("heard", heard[index] >= HALF);
  if (heard.every((share) => share >= HALF) && $("#notice").textContent.startsWith("Listen")) say(state.warning);
}, 100);

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.answer) vote(button.dataset.answer);
  else if ("undo" in button.dataset) undo();
  else if (button.id === "more") { beyond = true; show(state); }
  button.blur(); // so that a key that follows is an answer and not a click
});

const KEYS = { a: "a", arrowleft: "a", b: "b", arrowright: "b", s: "same", arrowdown: "same", x: "bad", arrowup: "bad" };
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const key = event.key.toLowerCase();
  if (KEYS[key]) vote(KEYS[key]);
  else if (key === "z") undo();
  else if (key === " ") listen();
  else return;
  event.preventDefault();
});

turn("api/pair");
