"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const RAMP = ["#eef4f2", "#cfe5e0", "#a3d0c8", "#6fb4b3", "#43939f", "#2b7089", "#24506f", "#1d3152"];
const byId = (id) => document.getElementById(id);
const number = (x) => Math.round(x).toLocaleString("en");
let hour = 0, chosen = null, timer = null;

const densities = [...data.truth, ...data.estimate]
  .flatMap((row) => row.map((v, a) => v / data.areas[a].km2)).filter((v) => v > 0).sort((p, q) => p - q);
const rounded = (v) => { const unit = 10 ** (Math.floor(Math.log10(v)) - 1); return Math.round(v / unit) * unit; };
const steps = [];  // quantiles, rounded, at least a sixth apart: one step of colour is a difference worth seeing
for (let k = 1; k < RAMP.length && densities.length; k++) {
  const step = rounded(densities[Math.floor((densities.length - 1) * k / RAMP.length)]);
  if (!steps.length || step >= steps.at(-1) * 1.17) steps.push(step);
}
const shade = (k) => RAMP[Math.round(k * (RAMP.length - 1) / Math.max(steps.length, 1))];
const colour = (density) => shade(steps.filter((s) => density >= s).length);

function element(name, attributes, parent) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  parent.append(made);
  return made;
}

function draw(id) {
  const svg = byId(id);
  svg.setAttribute("viewBox", data.viewBox);
  const defs = element("defs", {}, svg);
  const hatch = element("pattern", { id: "hatch-" + id, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, defs);
  element("rect", { width: 6, height: 6, fill: "#fff" }, hatch);
  element("rect", { width: 2, height: 6, fill: "#b9c2cb" }, hatch);
  return data.areas.map((area, index) => {
    const path = element("path", { d: area.d, tabindex: id === "estimate" ? 0 : -1, "aria-label": area.name }, svg);
    for (const event of ["pointerenter", "focus"]) path.addEventListener(event, () => { chosen = index; show(); });
    return path;
  });
}

function row(table, ...cells) {
  const line = table.insertRow();
  for (const cell of cells) line.insertCell().textContent = cell;
}

function facts() {
  if (chosen === null) return;
  const box = byId("facts");
  box.replaceChildren();
  const heading = document.createElement("h2");
  heading.textContent = data.areas[chosen].name;
  const table = document.createElement("table");
  const estimate = data.estimate[hour][chosen], truth = data.truth[hour][chosen], state = data.state[hour][chosen];
  row(table, "estimate", estimate === null ? "not shown: " + data.words[state] : number(estimate) + " persons");
  if (estimate !== null) {
    row(table, "noise, 95 %", "± " + number(data.interval[hour]) + " persons");
    if (state === "warming") row(table, "state", data.words.warming);
  }
  row(table, "truth", number(truth) + " persons");
  if (estimate !== null && truth > 0) row(table, "total error", (100 * (estimate - truth) / truth).toFixed(1) + " %");
  row(table, "density, truth", number(truth / data.areas[chosen].km2) + " per km²");
  box.append(heading, table);
}

function show() {
  byId("hour").textContent = data.hours[hour];
  byId("slider").value = hour;
  data.areas.forEach((area, a) => {
    const estimate = data.estimate[hour][a];
    maps.estimate[a].setAttribute("fill", estimate === null ? "url(#hatch-estimate)" : colour(estimate / area.km2));
    maps.estimate[a].classList.toggle("warming", data.state[hour][a] === "warming");
    maps.truth[a].setAttribute("fill", colour(data.truth[hour][a] / area.km2));
    for (const id of ["estimate", "truth"]) maps[id][a].classList.toggle("on", a === chosen);
  });
  facts();
}

function legend() {
  const box = byId("legend");
  ["", ...steps].forEach((_, k) => {
    const item = document.createElement("span");
    item.style.setProperty("--c", shade(k));
    item.textContent = k === 0 ? "below " + number(steps[0] || 1) : "from " + number(steps[k - 1]);
    box.append(item);
  });
  const unit = document.createElement("em");
  unit.textContent = "persons per km²; hatched: not shown (below the threshold, or missing); dotted outline: warming up";
  box.append(unit);
}

byId("title").textContent = data.title;
byId("subtitle").textContent = data.subtitle;
byId("footer").textContent = data.footer;
const maps = { estimate: draw("estimate"), truth: draw("truth") };
byId("slider").max = data.hours.length - 1;
byId("slider").addEventListener("input", (event) => { hour = Number(event.target.value); show(); });
byId("play").addEventListener("click", () => {
  byId("play").textContent = timer ? "play" : "pause";
  timer = timer ? clearInterval(timer) : setInterval(() => { hour = (hour + 1) % data.hours.length; show(); }, 700);
});
hour = Math.min(data.hours.length - 1, 12);
legend();
show();
document.body.dataset.ready = "yes";
