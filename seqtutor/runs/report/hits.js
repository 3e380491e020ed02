
// The chosen items: sorted, filtered, selected, taken away. Without a script they stand there as they are.
const hits = document.querySelector("section.hits");
if (hits) {
  const { columns, lower, rows, entries } = JSON.parse(hits.querySelector("#hit-rows").textContent);
  const list = hits.querySelector("ol"), form = hits.querySelector("form"), actions = hits.querySelector(".actions");
  const more = hits.querySelector(".more-hits"), pareto = hits.querySelector(".pareto"), words = actions.querySelector("output");
  const cards = new Map(), picked = new Set(), PAGE = innerWidth < 700 ? 12 : 60;
  let shown = [], length = PAGE, falling = true;
  for (const card of list.children) cards.set(Number(card.dataset.place), card);
  const chosen = cards.size, pattern = list.children[0];  // what is filtered may leave the list empty
  const figure = (value) => (value === null ? "–" : Number(value.toPrecision(4)).toString().replace("-", "−"));

  function cardOf(place) {
    if (!cards.has(place)) {
      const card = pattern.cloneNode(true);
      card.querySelector(".picture")?.remove();
      card.dataset.place = place;
      card.querySelector("input").after(` ${place + 1}`);
      card.querySelector("input").nextSibling.nextSibling?.remove();
      card.querySelector("b").textContent = figure(rows[place][2]);
      card.querySelector(".text").textContent = rows[place][0];
      cards.set(place, card);
    }
    const card = cards.get(place), box = card.querySelector("input");
    box.hidden = false;
    box.checked = picked.has(place);
    card.title = columns.map((name, i) => `${name} ${figure(rows[place][i + 2])}`).join("\n") + (rows[place][1] ? `\n${rows[place][1]}` : "");
    return card;
  }

  // Each word is a condition on a column (name<2), or a part of the text or of its family.
  function condition(word) {
    const found = word.match(/^(.+?)(>=|<=|>|<|=)(-?[\d.]+(?:e-?\d+)?)$/);
    const column = found ? columns.findIndex((name) => name.replaceAll(" ", "").toLowerCase() === found[1].toLowerCase()) : -1;
    if (column < 0) return (row) => row[0].includes(word) || row[1].includes(word);
    const limit = Number(found[3]), at = column + 2;
    const holds = { ">": (v) => v > limit, "<": (v) => v < limit, ">=": (v) => v >= limit, "<=": (v) => v <= limit, "=": (v) => v === limit };
    return (row) => row[at] !== null && holds[found[2]](row[at]);
  }

  function refresh() {
    const conditions = form.filter.value.split(/\s+/).filter(Boolean).map(condition);
    const at = columns.indexOf(form.sort.value) + 2, sign = falling ? -1 : 1;
    const count = form.all.checked ? rows.length : chosen;
    shown = [...rows.slice(0, count).keys()].filter((place) => conditions.every((holds) => holds(rows[place])));
    shown.sort((a, b) => (rows[a][at] === null) - (rows[b][at] === null) || sign * (rows[a][at] - rows[b][at]) || a - b);
    list.replaceChildren(...shown.slice(0, length).map(cardOf));
    more.hidden = shown.length <= length;
    tell();
    draw();
  }

  function tell() {
    words.textContent = `${shown.length} shown${picked.size ? `, ${picked.size} selected` : ""}`;
    for (const button of actions.querySelectorAll("button:not([name=pick])")) {
      button.title = picked.size ? "of the selected" : "of all that are shown";
    }
  }

  function draw() {
    const x = columns.indexOf(pareto.querySelector("[name=x]").value) + 2;
    const y = columns.indexOf(pareto.querySelector("[name=y]").value) + 2;
    const points = shown.filter((place) => rows[place][x] !== null && rows[place][y] !== null);
    const svg = pareto.querySelector("svg");
    svg.replaceChildren();
    if (!points.length) return;
    const range = (at) => {
      const values = points.map((place) => rows[place][at]);
      const low = Math.min(...values), high = Math.max(...values), room = (high - low || 1) / 20;
      return [low - room, high + room];
    };
    const [[x0, x1], [y0, y1]] = [range(x), range(y)];
    const place = (row) => [48 + ((row[x] - x0) / (x1 - x0)) * 580, 274 - ((row[y] - y0) / (y1 - y0)) * 262];
    const make = (name, attributes, text = "") => {
      const node = document.createElementNS("http://www.w3.org/2000/svg", name);
      for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
      node.textContent = text;
      svg.append(node);
      return node;
    };
    for (const part of [0, 0.25, 0.5, 0.75, 1]) {
      const [across, up] = [48 + part * 580, 274 - part * 262];
      make("path", { class: "grid", d: `M48 ${up}H628` });
      make("text", { x: 42, y: up + 4, "text-anchor": "end" }, figure(y0 + part * (y1 - y0)));
      make("text", { x: across, y: 293, "text-anchor": "middle" }, figure(x0 + part * (x1 - x0)));
    }
    const front = frontOf(points, x, y);
    for (const i of points) {
      const [cx, cy] = place(rows[i]);
      make("circle", { cx, cy, r: 3, class: picked.has(i) ? "chosen" : "", "data-place": i });
      if (front.has(i)) make("circle", { cx, cy, r: 6, class: "first", "data-place": i });
    }
  }

  // Those that no other one beats in both, of columns of which more, or of which less is better.
  function frontOf(points, x, y) {
    const worth = (i, at) => (lower.includes(columns[at - 2]) ? -rows[i][at] : rows[i][at]);
    const front = new Set();
    let best = -Infinity;
    for (const i of [...points].sort((a, b) => worth(b, x) - worth(a, x) || worth(b, y) - worth(a, y))) {
      if (worth(i, y) > best) front.add(i);
      best = Math.max(best, worth(i, y));
    }
    return front;
  }

  function save(name, kind, text) {
    const link = Object.assign(document.createElement("a"), { download: name, href: URL.createObjectURL(new Blob([text], { type: kind })) });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  const taken = () => (picked.size ? shown.concat([...picked].filter((p) => !shown.includes(p))).filter((p) => picked.has(p)) : shown);
  const quoted = (cell) => (/[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
  const take = {
    pick: () => {
      const every = shown.every((place) => picked.has(place));
      for (const place of shown) every ? picked.delete(place) : picked.add(place);
      refresh();
    },
    copy: () => {
      const text = taken().map((place) => rows[place][0]).join("\n");
      const area = Object.assign(document.createElement("textarea"), { value: text });
      hits.append(area); // a page opened from a file may not ask for the clipboard
      area.select();
      document.execCommand("copy");
      area.remove();
      words.textContent = `${taken().length} copied`;
    },
    csv: () => {
      const lines = taken().map((place) => rows[place].map((cell) => quoted(cell === null ? "" : String(cell))).join(","));
      save("hits.csv", "text/csv", [["text", "family", ...columns].map(quoted).join(","), ...lines, ""].join("\n"));
    },
    list: () => save("hits.txt", "text/plain", taken().map((place) => `${rows[place][0]}\n`).join("")),
  };

  for (const [suffix, parts] of Object.entries(entries)) {
    const button = Object.assign(document.createElement("button"), { type: "button", name: suffix });
    button.textContent = suffix.slice(1).toUpperCase();
    actions.append(" ", button);
    take[suffix] = () => {
      const own = taken().filter((place) => place < parts.length), others = taken().length - own.length;
      save(`hits${suffix}`, "text/plain", own.map((place) => parts[place]).join(""));
      words.textContent = `${own.length} saved${others ? `; ${others} others have no ${suffix} here: save a list, and score it` : ""}`;
    };
  }
  for (const select of [form.sort, ...pareto.querySelectorAll("select")]) {
    for (const name of columns) select.append(new Option(name));
    select.addEventListener("change", refresh);
  }
  // What the terms are worth, where that is said, else what they said.
  const asked = columns.filter((name) => name.endsWith(" (score)") || (name !== "reward" && !columns.includes(`${name} (score)`)));
  pareto.querySelector("[name=x]").value = asked[0] ?? "reward";
  pareto.querySelector("[name=y]").value = asked[1] ?? "reward";
  form.filter.addEventListener("input", () => { length = PAGE; refresh(); });
  form.all.addEventListener("change", () => { length = PAGE; refresh(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.turn.addEventListener("click", () => {
    falling = !falling;
    form.turn.textContent = falling ? "highest first" : "lowest first";
    refresh();
  });
  more.addEventListener("click", () => { length += PAGE; refresh(); });
  actions.addEventListener("click", (event) => take[event.target.name]?.());
  list.addEventListener("change", (event) => {
    const place = Number(event.target.closest("li").dataset.place);
    event.target.checked ? picked.add(place) : picked.delete(place);
    tell();
    draw();
  });
  pareto.querySelector("svg").addEventListener("pointermove", (event) => {
    const place = event.target.dataset?.place;
    pareto.querySelector("output").textContent = place === undefined ? "" : rows[place][0];
  });
  for (const part of [form, actions, pareto]) part.hidden = false;
  pareto.hidden = columns.length < 3;
  form.all.parentElement.hidden = rows.length <= chosen;
  refresh();
}
