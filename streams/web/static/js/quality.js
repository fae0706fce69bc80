// The curves of the quality page; the tables beside them say the same without.
import uPlot from "../vendor/uplot.js";
import { boot, colour as ink, font, number, t } from "./page.js";

const percent = (share) => new Intl.NumberFormat(boot.tag, { style: "percent", maximumFractionDigits: 1 }).format(share);
const faint = (of, share) => `color-mix(in srgb, ${of} ${share}%, transparent)`;

function axes(across, up, { x = percent, y = percent } = {}) {
  const common = {
    stroke: ink("--muted"),
    font: font(),
    labelFont: font(),
    labelSize: 20,
    grid: { stroke: ink("--line"), width: 1 },
    ticks: { stroke: ink("--line"), width: 1, size: 4 },
  };
  return [
    { ...common, label: across, values: (_, splits) => splits.map(x), space: 56 },
    { ...common, label: up, values: (_, splits) => splits.map(y), size: 64 },
  ];
}

const charts = [];
function draw(id, data, options) {
  const place = document.getElementById(id);
  if (!place || !data[0].length) return;
  const size = () => ({ width: place.clientWidth, height: 248 });
  const chart = new uPlot(
    { ...size(), legend: { show: false }, cursor: { drag: { x: false, y: false } }, ...options },
    data,
    place,
  );
  charts.push([chart, size]);
}
new ResizeObserver(() => {
  for (const [chart, size] of charts) chart.setSize(size());
}).observe(document.querySelector("main"));

const data = boot.data ?? {};
const accent = ink("--accent");

const gains = data.gains ?? [];
draw(
  "gains",
  [gains.map((each) => each[0]), gains.map((each) => each[1]), gains.map((each) => each[0])],
  {
    scales: { x: { time: false, range: [0, 1] }, y: { range: [0, 1] } },
    axes: axes(t("quality.followed"), t("quality.met")),
    series: [
      {},
      { stroke: accent, width: 2, fill: faint(accent, 10), points: { show: false } },
      { stroke: ink("--muted"), dash: [4, 4], width: 1, points: { show: false } },
    ],
  },
);

const bins = data.reliability ?? [];
const top = Math.min(1, Math.max(0.05, ...bins.map((each) => Math.max(each.foretold, each.fact.high))) * 1.05);
draw(
  "reliability",
  [
    bins.map((each) => each.foretold),
    bins.map((each) => each.fact.value),
    bins.map((each) => each.foretold),
    bins.map((each) => each.fact.low),
    bins.map((each) => each.fact.high),
  ],
  {
    scales: { x: { time: false, range: [0, top] }, y: { range: [0, top] } },
    axes: axes(t("quality.foretold"), t("quality.fact")),
    bands: [{ series: [4, 3], fill: faint(accent, 14) }],
    series: [
      {},
      { stroke: accent, width: 2, points: { show: true, size: 7 } },
      { stroke: ink("--muted"), dash: [4, 4], width: 1, points: { show: false } },
      { stroke: "transparent", points: { show: false } },
      { stroke: "transparent", points: { show: false } },
    ],
  },
);

const months = data.months ?? [];
const written = (value) => number(value);
draw(
  "months",
  [
    months.map((_, place) => place),
    months.map((each) => each.value.high),
    months.map((each) => each.value.low),
    months.map((each) => each.value.value),
  ],
  {
    scales: { x: { time: false, range: [-0.6, months.length - 0.4] }, y: { range: (_, __, high) => [0, high * 1.1 || 1] } },
    axes: axes("", t("quality.value"), {
      x: (place) => (Number.isInteger(place) && months[place] ? new Intl.DateTimeFormat(boot.tag, { year: "numeric", month: "short", timeZone: "UTC" }).format(new Date(`${months[place].month}-15T00:00:00Z`)) : ""),
      y: written,
    }),
    series: [
      {},
      { stroke: "transparent", points: { show: false } },
      { stroke: "transparent", points: { show: false } },
      { stroke: accent, fill: faint(accent, 30), width: 1, paths: uPlot.paths.bars({ size: [0.5, 72], radius: 0.06 }), points: { show: false } },
    ],
    hooks: {
      // The interval of each month, as a line with ends.
      draw: [
        (chart) => {
          const { ctx } = chart;
          const half = 6 * devicePixelRatio;
          ctx.save();
          ctx.strokeStyle = ink("--ink");
          ctx.lineWidth = 1.5 * devicePixelRatio;
          months.forEach((each, place) => {
            const x = chart.valToPos(place, "x", true);
            const [low, high] = [each.value.low, each.value.high].map((value) => chart.valToPos(value, "y", true));
            ctx.beginPath();
            ctx.moveTo(x, low);
            ctx.lineTo(x, high);
            for (const end of [low, high]) {
              ctx.moveTo(x - half, end);
              ctx.lineTo(x + half, end);
            }
            ctx.stroke();
          });
          ctx.restore();
        },
      ],
    },
  },
);
