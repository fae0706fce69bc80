// A score's course in a cell.

import { html } from "../vendor/htm-preact.js";

const [width, height] = [88, 22];

export function Spark({ points, tier }) {
  if (!points || points.length < 2) return html`<span class="muted" aria-hidden="true">–</span>`;
  const first = points[0][0];
  const span = Math.max(1, points[points.length - 1][0] - first);
  const x = (at) => (1 + ((at - first) / span) * (width - 4)).toFixed(1);
  const y = (score) => (height - 2 - (score / 100) * (height - 4)).toFixed(1);
  const steps = points.map(([at, score], i) =>
    i ? `H${x(at)}V${y(score)}` : `M${x(at)} ${y(score)}`,
  );
  const [at, score] = points[points.length - 1];
  return html`<svg class="sparkline tier-${tier}" viewBox="0 0 ${width} ${height}" width=${width} height=${height} aria-hidden="true">
    <path d="${steps.join("")}V${height}H${x(first)}Z" class="spark-ground" />
    <path d=${steps.join("")} class="spark-line" />
    <circle cx=${x(at)} cy=${y(score)} r="2" class="spark-end" />
  </svg>`;
}
