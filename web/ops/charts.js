// Charts of the last hour: uPlot over figures a second, in the page's own colours.
import uPlot from "uplot";

const HEIGHT_PX = 170;
const HOUR_S = 3600;

// [title, [name, colour, how it is read from a figure]]
const CHARTS = [
  ["Receipts a second", [["receipts", "--brand", (f) => f.acks]]],
  ["Time to the receipt, ms", [["half within", "--brand", (f) => ms(f.median)], ["99 % within", "--wait", (f) => ms(f.slowest)]]],
  ["Objects stored a second", [["packs", "--brand", (f) => f.packs], ["single chunks", "--wait", (f) => f.alone]]],
  ["Waiting in memory, MB", [["bodies", "--alarm", (f) => f.waitingBytes / 1e6]]],
];

const ms = (seconds) => (seconds === null ? null : seconds * 1000);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export class Charts {
  constructor(root) {
    this.root = root;
    this.figures = [];
    this.charts = [];
    new ResizeObserver(() => this.#fit()).observe(root);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
    this.#draw();
  }

  // `figures` as figures.js makes them, oldest first; null is a moment without any.
  show(figures) {
    this.figures = figures.filter(Boolean);
    for (const { chart, lines, pointAt } of this.charts) {
      chart.setData(this.#data(lines));
      this.#span(chart);
      pointAt(chart);
    }
  }

  // All figures stand before the first is measured: alone it would have the room of them all.
  #draw() {
    for (const { chart } of this.charts) chart.destroy();
    const figures = CHARTS.map(([title, lines]) => makeFigure(title, lines));
    this.root.replaceChildren(...figures.map(({ figure }) => figure));
    this.charts = CHARTS.map(([, lines], place) => {
      const { figure, plot, say } = figures[place];
      const pointAt = ({ cursor: { idx } }) => say(this.figures.at(idx ?? -1), Number.isInteger(idx));
      return { chart: new uPlot(this.#options(figure, lines, pointAt), this.#data(lines), plot), lines, pointAt, figure };
    });
    this.show(this.figures);
  }

  // `pointAt` is told when a moment is pointed at, and when none is any more.
  #options(figure, lines, pointAt) {
    const axis = { stroke: colour("--text-soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    return {
      width: Math.max(240, figure.clientWidth),
      height: HEIGHT_PX,
      cursor: { drag: { x: false, y: false } },
      legend: { show: false }, // the caption says it
      hooks: { setCursor: [pointAt] },
      scales: { y: { range: (_, low, high) => [0, Math.max(1, (high ?? 0) * 1.1)] } },
      axes: [
        { ...axis, space: 70, size: 28, values: (_, ticks) => ticks.map((at) => timeOf(at, { timeStyle: "short" })) },
        { ...axis, size: 56, values: (_, ticks) => ticks.map((value) => value.toLocaleString()) },
      ],
      series: [{}, ...lines.map(([label, stroke]) => ({ label, stroke: colour(stroke), width: 1.5, points: { show: false } }))],
    };
  }

  #data(lines) {
    return [this.figures.map((figure) => figure.at), ...lines.map(([, , read]) => this.figures.map(read))];
  }

  #span(chart) {
    const end = this.figures.at(-1)?.at ?? Date.now() / 1000;
    chart.setScale("x", { min: end - HOUR_S, max: end });
  }

  #fit() {
    for (const { chart, figure } of this.charts) chart.setSize({ width: Math.max(240, figure.clientWidth), height: HEIGHT_PX });
  }
}

// {figure, plot, say}: a figure without its chart. `say(figure, isPointedAt)` writes what the lines stand at; with more
// than one line each bears its colour.
function makeFigure(title, lines) {
  const figure = document.createElement("figure");
  const add = (parent, kind, className, words = "") => {
    const made = parent.appendChild(document.createElement(kind));
    return Object.assign(made, { className, textContent: words });
  };
  const head = add(figure, "figcaption", "", title);
  const spans = lines.map(([, stroke]) => {
    const span = add(head, "span", "soft");
    if (lines.length > 1) add(span, "i", "key").style.background = `var(${stroke})`;
    return add(span, "span", "");
  });
  const at = add(head, "span", "soft");
  const plot = add(figure, "div", "");
  plot.setAttribute("role", "img");
  plot.setAttribute("aria-label", `${title}, over the last hour`);
  const say = (now, isPointedAt = false) => {
    spans.forEach((span, place) => { span.textContent = now ? `${lines[place][0]} ${words(lines[place][2](now))}` : place ? "" : "no figures yet"; });
    at.textContent = now && isPointedAt ? `at ${timeOf(now.at, { timeStyle: "medium" })}` : "";
  };
  return { figure, plot, say };
}

const timeOf = (at, style) => new Date(at * 1_000).toLocaleTimeString(undefined, style);
const words = (value) => (value === null || value === undefined ? "–" : value.toLocaleString(undefined, { maximumFractionDigits: value < 10 ? 1 : 0 }));
