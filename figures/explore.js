"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const { curve, up, distance } = data.helix, { sizes } = data.kernels;
const find = name => document.getElementById(name);
const canvas = find("view"), pen = canvas.getContext("2d"), slider = find("size");
const number = value => String(Number(value.toPrecision(2)));
let at = 0;  // Which of the sizes is chosen.

// The helix.

// Viridis without its ends, which are lost on paper of their own lightness.
const RAMP = [[72, 40, 120], [62, 74, 137], [49, 104, 142], [38, 130, 142], [31, 158, 137], [53, 183, 121], [109, 205, 89]];
const DARK_RAMP = [[62, 110, 170], [49, 134, 152], [31, 158, 137], [53, 183, 121], [109, 205, 89], [180, 222, 44], [253, 231, 37]];
const dark = matchMedia("(prefers-color-scheme: dark)");
const across = [0, 1, 2].filter(j => j !== up);
const middle = [0, 1, 2].map(j => {
  const values = curve.map(row => row[j]);
  return (Math.min(...values) + Math.max(...values)) / 2;
});
const view = { turn: -0.9, tilt: 0.35, zoom: 1 };
let groups = [], places = [], named = -1;

// Means of the rows in groups of k; a projection is linear, so these are projections of the means.
function averaged(k) {
  const means = [];
  for (let start = 0; start < curve.length; start += k) {
    const rows = curve.slice(start, start + k);
    const mean = [0, 1, 2].map(j => rows.reduce((sum, row) => sum + row[j], 0) / rows.length);
    means.push({ first: start + 1, last: start + rows.length, mean });
  }
  return means;
}

function colour(position) {
  const ramp = dark.matches ? DARK_RAMP : RAMP;
  const step = (position / curve.length) * (ramp.length - 1), i = Math.min(Math.floor(step), ramp.length - 2);
  return `rgb(${ramp[i].map((c, j) => Math.round(c + (step - i) * (ramp[i + 1][j] - c))).join()})`;
}

// Turn about the axis that climbs, tilt towards the eye, look from afar.
function project(row) {
  const [x, y] = across.map(j => row[j] - middle[j]), z = row[up] - middle[up];
  const { turn, tilt, zoom } = view;
  const side = x * Math.cos(turn) - y * Math.sin(turn), depth = x * Math.sin(turn) + y * Math.cos(turn);
  const scale = zoom * Math.min(canvas.width, canvas.height) / 7.5;
  return [
    canvas.width / 2 + scale * side,
    canvas.height / 2 - scale * (z * Math.cos(tilt) - depth * Math.sin(tilt)),
  ];
}

function drawHelix() {
  const dense = window.devicePixelRatio || 1, box = canvas.getBoundingClientRect();
  canvas.width = Math.round(box.width * dense);
  canvas.height = Math.round(box.width * 5 / 8 * dense);
  pen.strokeStyle = getComputedStyle(canvas).color;
  pen.lineWidth = 1.2 * dense;
  pen.beginPath();
  for (const row of curve) pen.lineTo(...project(row));
  pen.stroke();
  places = groups.map(group => project(group.mean));
  const radius = (groups.length > 300 ? 2 : 4) * dense;
  places.forEach(([x, y], i) => {
    pen.fillStyle = colour(groups[i].first);
    pen.beginPath();
    pen.arc(x, y, i === named ? radius + 3 * dense : radius, 0, 2 * Math.PI);
    pen.fill();
    if (i === named) { pen.strokeStyle = getComputedStyle(document.body).color; pen.lineWidth = 2 * dense; pen.stroke(); }
  });
}

function name(i) {
  named = i;
  const group = groups[i];
  if (!group) find("named").textContent = `${groups.length} points`;
  else if (group.first === group.last) find("named").textContent = `position ${group.first}`;
  else find("named").textContent = `positions ${group.first} to ${group.last}, one point`;
  drawHelix();
}

function point(event) {
  const box = canvas.getBoundingClientRect(), dense = canvas.width / box.width;
  const x = (event.clientX - box.left) * dense, y = (event.clientY - box.top) * dense;
  let nearest = -1, best = 12 * dense;
  places.forEach(([px, py], i) => {
    const away = Math.hypot(px - x, py - y);
    if (away < best) [nearest, best] = [i, away];
  });
  if (nearest !== named) name(nearest);
}

canvas.addEventListener("pointerdown", event => canvas.setPointerCapture(event.pointerId));
canvas.addEventListener("pointermove", event => {
  if (!event.buttons) return point(event);
  view.turn += event.movementX / 120;
  view.tilt = Math.max(-1.5, Math.min(1.5, view.tilt + event.movementY / 120));
  drawHelix();
});
canvas.addEventListener("keydown", event => {
  const keys = {
    ArrowLeft: () => { view.turn -= 0.1; drawHelix(); },
    ArrowRight: () => { view.turn += 0.1; drawHelix(); },
    ArrowUp: () => { view.tilt = Math.max(-1.5, view.tilt - 0.1); drawHelix(); },
    ArrowDown: () => { view.tilt = Math.min(1.5, view.tilt + 0.1); drawHelix(); },
    "+": () => { view.zoom = Math.min(8, view.zoom * 1.15); drawHelix(); },
    "-": () => { view.zoom = Math.max(0.3, view.zoom / 1.15); drawHelix(); },
    ".": () => name((named + 1) % groups.length),
    ",": () => name((named + groups.length - (named < 0 ? 0 : 1)) % groups.length),
  };
  if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  keys[event.key]();
});

// Charts. Each is drawn to the size that it has on the page, so that text keeps its own.

function frame(svg, [left, right, bottom], [lowX, highX], highY, ticksX, ticksY) {
  const box = svg.getBoundingClientRect(), height = box.height, top = 10;
  const width = Math.max(box.width, left + right + 1);  // In a window that is being made it has none.
  const x = value => left + (width - left - right) * (value - lowX) / (highX - lowX);
  const y = value => height - bottom - (height - bottom - top) * value / highY;
  const parts = ticksY.map(value =>
    `<line class="axis" x1="${left}" x2="${width - right}" y1="${y(value)}" y2="${y(value)}"/>` +
    `<text x="${left - 5}" y="${y(value) + 4}" text-anchor="end">${value}</text>`);
  parts.push(...ticksX.map(([value, label]) =>
    `<text x="${x(value)}" y="${height - bottom + 16}" text-anchor="middle">${label}</text>`));
  return { x, y, top, left, right: width - right, parts };
}

function show(svg, parts, says) {
  svg.innerHTML = parts.join("");
  svg.setAttribute("aria-label", says);
}

// Names at the ends of lines, moved apart so that none covers another.
function endLabels(ends, x, lowest) {
  const rows = ends.toSorted((one, other) => other.y - one.y);
  let below = lowest;
  for (const row of rows) {
    row.at = Math.min(row.y, below);
    below = row.at - 14;
  }
  return rows.map(({ i, at, label }) => `<g class="s${i}"><text x="${x + 6}" y="${at + 4}">${label}</text></g>`);
}

function panelsIn(place, names) {
  return names.map((name, i) => {
    const figure = document.createElement("figure");
    figure.className = `s${i}`;
    figure.innerHTML = `<figcaption><b>${name}</b> <span></span></figcaption><svg role="img"></svg>`;
    place.append(figure);
    return { name, svg: figure.querySelector("svg"), caption: figure.querySelector("span") };
  });
}

// Bars by offset from the query, from the furthest ahead back; the query's own position, at 0, stands out.
function drawOffsets(svg, seen, intact, highest, says, ahead = 0) {
  const step = highest > 0.6 ? 0.5 : highest > 0.3 ? 0.2 : 0.1;
  const ticksY = Array.from({ length: Math.floor(highest / step + 1e-9) + 1 }, (_, i) => Number((i * step).toFixed(1)));
  const last = ahead - seen.length + 1, steps = last === -12 ? [-12, -5, 0] : [-10, -5, 0, 5, 10];
  const ticksX = steps.filter(tick => tick >= last && tick <= ahead).map(tick => [tick, tick]);
  const { x, y, parts } = frame(svg, [28, 8, 22], [last - 0.5, ahead + 0.5], highest, ticksX, ticksY);
  const bars = (heights, look) => heights.map((height, i) =>
    `<rect class="${look(i)}" x="${x(ahead - i - 0.4)}" width="${x(0.4) - x(-0.4)}" y="${y(height)}" height="${Math.max(0, y(0) - y(height))}"/>`);
  parts.push(...bars(seen, i => i === ahead ? "bar" : "bar far"), ...bars(intact, () => "ghost"));
  show(svg, parts, `${says} by offset from ${ahead} back: ${seen.map(number).join(", ")}`);
}

const kernelPanels = panelsIn(find("kernels"), Object.keys(data.kernels.kernel));
const unmaskedPanels = panelsIn(find("unmasked"), Object.keys(data.kernels.unmasked));

function drawKernels() {
  const highest = Math.max(...Object.values(data.kernels.kernel).flat(2));
  for (const { name, svg, caption } of kernelPanels) {
    const kernel = data.kernels.kernel[name];
    svg.parentElement.className = "";
    caption.textContent = `looks back ${number(data.kernels.lookBack[name][at])} tokens`;
    drawOffsets(svg, kernel[at], kernel[0], highest, `Attention of ${name}`);
  }
  for (const { name, svg, caption } of unmaskedPanels) {
    const [seen, intact] = [at, 0].map(i => data.kernels.unmasked[name][i].toReversed());
    svg.parentElement.className = "";
    caption.textContent = `intact: looks ${number(data.kernels.ahead[name])} tokens ahead`;
    drawOffsets(svg, seen, intact, highest, `Without the mask, attention of ${name}`, (seen.length - 1) / 2);
  }
}

function drawRebuilt() {
  const { share, likeness, bound } = data.rebuilt, found = share[sizes[at]], svg = find("rebuilt-by-layer");
  const layers = Object.keys(Object.values(share)[0]).map(Number), ticks = [0, ...layers];
  const { x, y, left, right, parts } = frame(
    svg, [34, 8, 22], [-0.6, layers.length + 0.6], 1.15, ticks.map(layer => [layer, `layer ${layer}`]), [0, 0.25, 0.5, 0.75, 1]);
  parts.push(`<line class="bound" x1="${left}" x2="${right}" y1="${y(bound)}" y2="${y(bound)}"/>`,
    `<text class="limit" x="${left + 4}" y="${y(bound) - 6}">bound at 20</text>`);
  for (const layer of ticks) {
    const [mean, low, high] = !found ? [1, 1, 1] : layer ? found[layer] : [0, 0, 0];
    parts.push(`<rect class="bar" x="${x(layer - 0.3)}" width="${x(0.3) - x(-0.3)}" y="${y(mean)}" height="${Math.max(0, y(0) - y(mean))}"/>`,
      `<line class="spread" style="stroke: var(--ink)" x1="${x(layer)}" x2="${x(layer)}" y1="${y(low)}" y2="${y(high)}"/>`,
      `<text x="${x(layer)}" y="${y(Math.max(high, 0)) - 6}" text-anchor="middle">${mean.toFixed(2)}</text>`);
  }
  const means = found ? layers.map(layer => found[layer][0].toFixed(2)) : [];
  show(svg, parts, found ? `Share rebuilt entering layers ${layers.join(", ")}: ${means.join(", ")}` : "Intact: all of it is there");
  const alike = likeness[sizes[at]];
  find("likeness").textContent = !found ? "Intact positions: all of it is there." :
    `It is like what was there: correlation ${layers.filter(n => alike[n]).map(n => alike[n][0].toFixed(2)).join(", ")} entering layers ${layers.join(", ")}.`;
}

const profilePanels = data.profile ? ["alone", "pictures"].map(kind => {
  if (!Object.keys(data.profile[kind]).length) return [];
  const place = document.createElement("div"), title = document.createElement("h3");
  title.textContent = kind === "alone" ? "Attention alone" : "Whole model on text, from the author's pictures";
  place.className = "panels";
  find("profile").append(title, place);
  return panelsIn(place, Object.keys(data.profile.alone[1]));
}) : [];

function drawProfiles() {
  const k = sizes[at], { alone, pictures } = data.profile;
  const [ofAlone, ofPictures] = profilePanels;
  const highest = 1.08 * Math.max(...Object.values(alone).flatMap(by => Object.values(by).flat()));
  for (const { name, svg, caption } of ofAlone) {
    const [own, behind] = alone[k][name];
    caption.textContent = `${k === 1 ? "intact" : `groups of ${k}`}: ${own.toFixed(2)} at 0, ${behind.toFixed(2)} at -1`;
    drawOffsets(svg, alone[k][name], alone[1][name], highest, `Attention alone of ${name}`);
  }
  for (const { name, svg, caption } of ofPictures) {
    const seen = (pictures[k] ?? pictures[1])[name];
    const which = pictures[k] && k !== 1 ? `groups of ${k}` : "intact";
    caption.textContent = `${which}: ${seen[0].toFixed(2)} at 0, ${seen[1].toFixed(2)} at -1`;
    drawOffsets(svg, seen, pictures[1][name], 1.08, `Whole model, attention of ${name}`);
  }
}

// Works, broken or open: the whole interval is on one side of the bound.
function verdict([, low, high]) {
  const { works, broken } = data.kept;
  return low >= works ? "works" : high <= broken ? "broken" : "open";
}

function chips(place, rows) {
  place.innerHTML = rows.map(([head, found, i]) =>
    `<span class="${verdict(found)}"><span class="s${i}">${head}</span> <b>${verdict(found)}</b> <i>keeps </i>${found[0].toFixed(2)}</span>`).join("");
}

function drawKept() {
  const { kept, floor, works } = data.kept, svg = find("kept-by-size"), heads = Object.keys(floor), place = Math.log;
  const known = sizes.filter(size => kept[size]), last = known.at(-1);
  const { x, y, top, left, right, parts } = frame(
    svg, [34, 48, 22], [-0.1, place(last) + 0.1], 1.15, known.map(size => [place(size), size]), [0, 0.25, 0.5, 0.75, 1]);
  const to = size => x(place(size));
  parts.push(`<line class="now" x1="${to(sizes[at])}" x2="${to(sizes[at])}" y1="${top}" y2="${y(0)}"/>`,
    `<line class="bound" x1="${left}" x2="${right}" y1="${y(works)}" y2="${y(works)}"/>`,
    `<text class="limit" x="${left + 4}" y="${y(works) + 15}">works above ${works}, broken below</text>`);
  const ends = heads.map((head, i) => {
    const points = known.map(size => [to(size), ...kept[size][head].map(y)]);
    parts.push(`<g class="s${i}"><polyline class="line" points="${points.map(([px, mean]) => `${px},${mean}`).join(" ")}"/>`,
      ...points.map(([px, mean, low, high]) =>
        `<line class="spread" x1="${px}" x2="${px}" y1="${low}" y2="${high}"/><circle class="dot" r="4" cx="${px}" cy="${mean}"/>`),
      `<line class="floor" x1="${to(known.at(-2))}" x2="${right}" y1="${y(floor[head])}" y2="${y(floor[head])}"/></g>`);
    return { i, y: points.at(-1)[1], label: head };
  });
  parts.push(...endLabels(ends, right - 6, y(0)));
  show(svg, parts, "Attention at -1 kept: " + heads.map(head => `${head} ${number(kept[sizes[at]][head][0])}`).join("; "));
}

const edit = find("edit");
if (data.cause) edit.append(...data.cause.map(({ says }, i) => new Option(says, i)));

function drawEdit() {
  const { says, intact, averaged } = data.cause[edit.value], svg = find("kept-by-edit"), heads = Object.keys(intact);
  const { works, floor } = data.kept;
  const ends = [intact, averaged ?? {}].flatMap(found => Object.values(found));
  const { x, y, left, right, parts } = frame(
    svg, [34, 8, 22], [-0.6, heads.length - 0.4], 1.2, heads.map((head, i) => [i, head]), [0, 0.25, 0.5, 0.75, 1]);
  parts.push(`<line class="bound" x1="${left}" x2="${right}" y1="${y(works)}" y2="${y(works)}"/>`,
    `<text class="limit" x="${left + 4}" y="${y(works) + 15}">works above ${works}</text>`);
  heads.forEach((head, i) => {
    parts.push(`<g class="s${i}"><line class="floor" x1="${x(i - 0.35)}" x2="${x(i + 0.35)}" y1="${y(floor[head])}" y2="${y(floor[head])}"/>`);
    for (const [found, from, look] of [[intact, i - 0.2, "dot"], [averaged, i + 0.2, "hollow"]]) {
      if (!found) continue;
      const [mean, low, high] = found[head];
      parts.push(`<line class="spread" x1="${x(from)}" x2="${x(from)}" y1="${y(low)}" y2="${y(high)}"/>`,
        `<circle class="${look}" r="5" cx="${x(from)}" cy="${y(mean)}"/>`,
        `<text x="${x(from)}" y="${y(Math.max(mean, high)) - 9}" text-anchor="middle">${mean.toFixed(2)}</text>`);
    }
    parts.push("</g>");
  });
  show(svg, parts, `${says}: ` + heads.map(head => `${head} keeps ${number(intact[head][0])}` +
    (averaged ? `, ${number(averaged[head][0])} in groups of 20` : "")).join("; "));
  chips(find("edited"), heads.map((head, i) => [head, intact[head], i]));
}

function drawHeads() {
  const { main, attention } = data.heads, now = attention[sizes[at]];
  const highest = Math.max(...Object.values(attention).flatMap(seen => Object.values(seen)));
  const rows = [];
  for (const [head, seen] of Object.entries(now)) {
    const [, layer, column] = head.match(/L(\d+)H(\d+)/), share = seen / highest;
    (rows[layer] ??= [])[column] =
      `<td class="${main.includes(head) ? "main" : ""}" style="--share: ${(100 * share).toFixed(1)}%" title="${head}: ${number(seen)}">${Math.round(100 * seen)}</td>`;
  }
  find("grid").innerHTML =
    `<thead><tr><td style="--share: 0%"></td>${rows[0].map((_, i) => `<th scope="col">H${i}</th>`).join("")}</tr></thead>` +
    `<tbody>${rows.map((cells, i) => `<tr><th scope="row">L${i}</th>${cells.join("")}</tr>`).join("")}</tbody>`;
}

// One dot a head, on logarithmic axes; what does not move.
function drawOrder() {
  const { main, order, rank } = data.heads, svg = find("heads-by-order"), heads = Object.entries(order);
  const lows = [0, 1].map(i => Math.floor(Math.log10(Math.min(...heads.map(([, pair]) => pair[i])))));
  const [ticksX, ticksY] = lows.map(low => Array.from({ length: 1 - low }, (_, i) => [i, (10 ** (low + i)).toFixed(-low - i)]));
  const { x, y, left, right, parts } = frame(svg, [44, 26, 22], [0, -lows[0]], -lows[1], ticksX, []);
  parts.push(...ticksY.map(([i, label]) => `<line class="axis" x1="${left}" x2="${right}" y1="${y(i)}" y2="${y(i)}"/>` +
    `<text x="${left - 5}" y="${y(i) + 4}" text-anchor="end">${label}</text>`));
  for (const [head, [alone, whole]] of heads) {
    const i = main.indexOf(head), [px, py] = [x(Math.log10(alone) - lows[0]), y(Math.log10(whole) - lows[1])];
    parts.push(i < 0 ? `<circle class="rest" r="2.5" cx="${px}" cy="${py}"/>` :
      `<g class="s${i}"><circle class="dot" r="5" cx="${px}" cy="${py}"/><text x="${px - 8}" y="${py + 4}" text-anchor="end">${head}</text></g>`);
  }
  show(svg, parts, `Rank correlation of ${heads.length} heads: ${rank[0].toFixed(2)}`);
  find("rank").textContent = `Rank correlation: ${rank[0].toFixed(2)} [${rank[1].toFixed(2)}, ${rank[2].toFixed(2)}]; 1 is the same order.`;
}

// All of it.

const pictures = { rebuilt: drawRebuilt, profile: drawProfiles, kept: drawKept, cause: drawEdit, heads: drawHeads };

function draw() {
  drawHelix();
  drawKernels();
  for (const [name, picture] of Object.entries(pictures)) if (data[name]) picture();
  if (data.heads?.order) drawOrder();
  else find("order").hidden = true;
}

function choose() {
  at = Number(slider.value);
  const k = sizes[at];
  groups = averaged(k);
  find("chosen").value = k === 1 ? "1 (intact)" : String(k);
  slider.setAttribute("aria-valuetext", k === 1 ? "1, intact" : `groups of ${k}`);
  find("distance").textContent = distance[k] === undefined ? "" :
    `In groups of ${k} they lie ${number(100 * distance[k])}\u00a0% of its radius away from it.`;
  if (data.kept?.kept[k]) chips(find("said"), Object.entries(data.kept.kept[k]).map(([head, found], i) => [head, found, i]));
  else find("said").textContent = `${groups.length} points`;
  draw();
  name(-1);
}

for (const part of Object.keys(pictures)) if (!data[part]) (find(part) ?? find("grid").parentElement).textContent = "Not measured.";
slider.max = sizes.length - 1;
slider.value = sizes.indexOf(10);
slider.addEventListener("input", choose);
edit.addEventListener("change", drawEdit);
window.addEventListener("resize", draw);
dark.addEventListener("change", draw);
choose();
