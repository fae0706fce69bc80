// A score over time, with the events that moved it.

import uPlot from "../vendor/uplot.js";
import { boot, colour, font, number, shown, time } from "./page.js";

const day = new Intl.DateTimeFormat(boot.tag, { month: "short", day: "numeric" });
const hour = new Intl.DateTimeFormat(boot.tag, { hour: "2-digit", minute: "2-digit" });

/** Draw `scores` ([instant, score], …) into `place`; `marks` are what happened meanwhile. */
export function course(place, { scores, marks, bands }) {
  if (scores.length < 2) return;
  const end = Math.max(Date.now() + ((boot.now ?? Date.now()) - Date.now()), scores.at(-1)[0]);
  const xs = [...scores.map(([at]) => at / 1000), end / 1000];
  const ys = [...scores.map(([, score]) => score), scores.at(-1)[1]];
  const text = colour("--muted");
  const line = colour("--line");
  const accent = colour("--accent");
  const tip = document.createElement("div");
  tip.className = "u-tip";
  tip.hidden = true;

  const drawMarks = (u) => {
    const { ctx, bbox } = u;
    ctx.save();
    for (const [name, from] of bands) {
      const y = Math.round(u.valToPos(from, "y", true));
      ctx.strokeStyle = colour(`--${name}-fill`) || line;
      ctx.globalAlpha = 0.55;
      ctx.setLineDash([4, 4]);
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
    }
    ctx.setLineDash([]);
    ctx.globalAlpha = 1;
    ctx.fillStyle = accent;
    const size = 3 * devicePixelRatio;
    for (const [at] of marks) {
      const x = u.valToPos(at / 1000, "x", true);
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.beginPath();
      ctx.arc(x, bbox.top + bbox.height - size - 2, size, 0, 2 * Math.PI);
      ctx.fill();
    }
    ctx.restore();
  };
  const say = (u) => {
    const i = u.cursor.idx;
    tip.hidden = i == null || u.cursor.left < 0;
    if (tip.hidden) return;
    const at = u.posToVal(u.cursor.left, "x") * 1000;
    const near = 6 * ((u.scales.x.max - u.scales.x.min) / u.over.clientWidth) * 1000;
    const met = marks.filter(([when]) => Math.abs(when - at) < near).map(([, name]) => shown(name));
    tip.textContent = [time(xs[i] * 1000), number(ys[i], 1), ...new Set(met)].join(" · ");
    const left = Math.min(u.cursor.left + 12, u.over.clientWidth - tip.offsetWidth - 4);
    tip.style.left = `${Math.max(0, left)}px`;
    tip.style.top = "8px";
  };
  const options = () => ({
    width: place.clientWidth,
    height: place.clientHeight,
    legend: { show: false },
    cursor: { y: false, points: { size: 7 } },
    scales: { y: { range: [0, 100] } },
    axes: [
      {
        stroke: text,
        font: font(),
        grid: { show: false },
        size: 32,
        ticks: { stroke: line, size: 4 },
        values: (_, values, __, ___, step) =>
          values.map((at) => (step < 86400 ? hour : day).format(new Date(at * 1000))),
      },
      {
        stroke: text,
        font: font(),
        size: 36,
        grid: { stroke: line, width: 1 },
        ticks: { show: false },
        values: (_, values) => values.map((score) => number(score)),
      },
    ],
    series: [
      {},
      {
        stroke: accent,
        width: 2,
        fill: colour("--accent-soft"),
        paths: uPlot.paths.stepped({ align: 1 }),
        points: { show: false },
      },
    ],
    hooks: { draw: [drawMarks], setCursor: [say] },
  });
  const made = new uPlot(options(), [xs, ys], place);
  made.over.append(tip);
  new ResizeObserver(() =>
    made.setSize({ width: place.clientWidth, height: place.clientHeight }),
  ).observe(place);
  return made;
}
