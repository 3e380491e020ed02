"use strict";

// The pointer on a chart: the nearest logged point, in words.
for (const svg of document.querySelectorAll("svg[data-points]")) {
  const points = JSON.parse(svg.dataset.points);
  const dot = svg.querySelector(".pointer");
  const words = svg.parentElement.querySelector("output");
  const twoWay = svg.querySelector(".mark") !== null;
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const scale = svg.viewBox.baseVal.width / box.width;
    const x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale;
    const far = (p) => Math.hypot(p[0] - x, twoWay ? p[1] - y : 0);
    const near = points.reduce((a, b) => (a && far(a) <= far(b) ? a : b), null);
    if (!near) return;
    dot.setAttribute("cx", near[0]);
    dot.setAttribute("cy", near[1]);
    dot.removeAttribute("hidden");
    words.textContent = near[2];
  });
  svg.addEventListener("pointerleave", () => {
    dot.setAttribute("hidden", "");
    words.textContent = "";
  });
}

// The player: one at a time, a soft triangle with a sine an octave below. Where the picture says what time it spans
// (data-seconds on its svg; data-from and data-to, the ends of it in viewBox units), a cursor runs over it.
let context = null;
let playing = null;

function voice(bus, start, length, pitch) {
  const frequency = 440 * 2 ** ((pitch - 69) / 12);
  const end = start + Math.max(length, 0.08), release = 0.12;
  const envelope = new GainNode(context, { gain: 0 });
  envelope.gain.setValueAtTime(0, start);
  envelope.gain.linearRampToValueAtTime(0.5, start + 0.012);
  envelope.gain.setTargetAtTime(0.26, start + 0.012, 0.22);
  envelope.gain.setTargetAtTime(0, end - 0.02, release / 4);
  envelope.connect(bus);
  for (const [type, ratio, gain] of [["triangle", 1, 0.7], ["sine", 0.5, 0.22], ["sine", 2, 0.08]]) {
    const tone = new OscillatorNode(context, { type, frequency: frequency * ratio });
    tone.connect(new GainNode(context, { gain })).connect(envelope);
    tone.start(start);
    tone.stop(end + release);
  }
}

function stop() {
  if (!playing) return;
  const { bus, frame, button, bar, cursor } = playing;
  playing = null;
  cancelAnimationFrame(frame);
  bus.gain.setTargetAtTime(0, context.currentTime, 0.02);
  setTimeout(() => bus.disconnect(), 200);
  cursor?.remove();
  bar.style.transform = "";
  button.textContent = "▶ Play";
  button.removeAttribute("aria-pressed");
  button.setAttribute("aria-label", `Play ${button.dataset.label}`);
}

function play(button) {
  stop();
  context ??= new AudioContext();
  context.resume();
  const notes = JSON.parse(button.dataset.notes);
  const item = button.closest(".item"), picture = item.querySelector(".picture");
  const drawing = picture?.querySelector("svg"), width = drawing?.viewBox.baseVal?.width || 1;  // it may have no picture
  const { seconds, from = 0, to = width } = drawing?.dataset ?? {};
  const span = Number(seconds) || Math.max(...notes.map(([start, length]) => start + length));
  const bus = new GainNode(context, { gain: 0.5 });
  bus.connect(new BiquadFilterNode(context, { type: "lowpass", frequency: 3200, Q: 0.3 })).connect(context.destination);
  const begin = context.currentTime + 0.1;
  for (const [start, length, pitch] of notes) voice(bus, begin + start, length, pitch);
  const cursor = seconds && Object.assign(document.createElement("div"), { className: "cursor" });
  if (cursor) picture.append(cursor);
  playing = { bus, button, cursor, bar: item.querySelector(".bar i"), frame: 0 };
  button.textContent = "■ Stop";
  button.setAttribute("aria-pressed", "true");
  button.setAttribute("aria-label", `Stop ${button.dataset.label}`);
  const step = () => {
    const part = Math.max(0, (context.currentTime - begin) / span);
    if (part > 1) return stop();
    if (cursor) cursor.style.left = `${((Number(from) + part * (to - from)) / width) * 100}%`;
    playing.bar.style.transform = `scaleX(${part})`;
    playing.frame = requestAnimationFrame(step);
  };
  step();
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-notes]");
  if (!button) return;
  if (playing && playing.button === button) stop();
  else play(button);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") stop();
});
