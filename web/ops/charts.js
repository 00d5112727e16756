// Charts of the last hour: uPlot over figures a second, in the page's own colours.
import uPlot from "./lib/uplot/dist/uPlot.esm.js";

const HEIGHT_PX = 170;
const HOUR_S = 3600;

// [title, [name, colour, how it is read from a figure], how an axis says it]
const CHARTS = [
  ["Receipts a second", [["receipts", "--brand", (f) => f.acks]], (v) => v.toLocaleString()],
  ["Time to the receipt, ms", [["half within", "--brand", (f) => ms(f.median)], ["99 % within", "--wait", (f) => ms(f.slowest)]], (v) => v.toLocaleString()],
  ["Objects stored a second", [["packs", "--brand", (f) => f.packs], ["single chunks", "--wait", (f) => f.alone]], (v) => v.toLocaleString()],
  ["Waiting in memory, MB", [["bodies", "--alarm", (f) => f.waitingBytes / 1e6]], (v) => v.toLocaleString()],
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
    for (const { chart, lines, caption } of this.charts) {
      chart.setData(this.#data(lines));
      this.#span(chart);
      const newest = this.figures.at(-1);
      caption.textContent = newest ? lines.map(([name, , read]) => `${name} ${words(read(newest))}`).join(", ") : "no figures yet";
    }
  }

  #draw() {
    for (const { chart } of this.charts) chart.destroy();
    this.root.replaceChildren();
    this.charts = CHARTS.map(([title, lines, say]) => {
      const figure = document.createElement("figure");
      const head = figure.appendChild(document.createElement("figcaption"));
      head.append(title);
      const caption = head.appendChild(document.createElement("span"));
      caption.className = "soft";
      const plot = figure.appendChild(document.createElement("div"));
      plot.setAttribute("role", "img");
      plot.setAttribute("aria-label", `${title}, over the last hour`);
      this.root.append(figure);
      return { chart: new uPlot(this.#options(figure, lines, say), this.#data(lines), plot), lines, caption, figure };
    });
    this.show(this.figures);
  }

  #options(figure, lines, say) {
    const axis = { stroke: colour("--text-soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    return {
      width: Math.max(240, figure.clientWidth),
      height: HEIGHT_PX,
      cursor: { drag: { x: false, y: false } },
      legend: { live: true },
      scales: { y: { range: (_, low, high) => [0, Math.max(1, (high ?? 0) * 1.1)] } },
      axes: [axis, { ...axis, size: 56, values: (_, ticks) => ticks.map(say) }],
      series: [
        { value: (_, at) => (at ? new Date(at * 1000).toLocaleTimeString() : "") },
        ...lines.map(([label, stroke]) => ({ label, stroke: colour(stroke), width: 1.5, points: { show: false }, value: (_, v) => words(v) })),
      ],
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

const words = (value) => (value === null || value === undefined ? "–" : value.toLocaleString(undefined, { maximumFractionDigits: value < 10 ? 1 : 0 }));
