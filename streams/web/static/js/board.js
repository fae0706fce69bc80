// The ranked board: an island that lives on the API and on live events.

import { html, render } from "../vendor/htm-preact.js";
import { ask, boot, now, shown, t, toast } from "./page.js";
import { listen } from "./live.js";
import { chime, Choices, notify } from "./calls.js";
import { me, Rows, standing } from "./rows.js";
import { Row } from "./row.js";

const root = document.getElementById("board");
const { may_work: mayWork } = boot.data;
const form = document.getElementById("filters");
const phone = matchMedia("(max-width: 900px)");
const state = { selected: null, first: 0, live: null, height: 600 };
let drawing = false;

function redraw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    draw();
  });
}

const rows = new Rows(boot.data.query, boot.data.first, redraw);
const rowHeight = () => (phone.matches ? 92 : 48);

const FRESH = 4000; // milliseconds that a changed score stands out
let fading = null;
let whole = new Set(); // leads whose rows are drawn in full
function draw() {
  const height = rowHeight();
  const total = rows.total;
  const first = Math.max(0, Math.floor(state.first / height) - 8);
  const last = first + Math.ceil(state.height / height) + 16;
  if (total !== 0) rows.see(first, last);
  const shownRows = [];
  const drawn = new Set();
  const instant = now();
  const tick = Math.floor(instant / 20000);
  for (let place = first; place <= Math.min(last, (total ?? 12) - 1); place += 1) {
    const row = rows.at(place);
    const chosen = Boolean(row) && row.lead_id === state.selected;
    const brief = state.flies && Boolean(row) && !whole.has(row.lead_id);
    if (row && !brief) drawn.add(row.lead_id);
    const fresh = row?.changedAt > instant - FRESH;
    if (fresh)
      fading ??= setTimeout(() => {
        fading = null;
        redraw();
      }, FRESH);
    shownRows.push(
      html`<${Row} key=${row?.lead_id ?? `place ${place}`} row=${row} place=${place} height=${height}
        chosen=${chosen} first=${!state.selected && place === 0} fresh=${fresh} brief=${brief} tick=${tick} on=${on} />`,
    );
  }
  whole = drawn;
  render(
    html`<div class="b-grid is-placed" role="grid" aria-label=${t("now.board")} aria-rowcount=${(total ?? 0) + 1} aria-busy=${total === null}>
      <div role="rowgroup" class="b-head"><div role="row" class="b-titles" aria-rowindex="1">
        ${["tier", "score", "trend", "name", "why", "owner", "last", "next", "deal", "act"].map(
          (name) => html`<div role="columnheader" class="b-${name}">${t(`now.col.${name}`)}</div>`,
        )}
      </div></div>
      <div role="rowgroup" class="b-body" style=${{ height: `${Math.max(1, total ?? 12) * height}px` }}>
        ${shownRows}
      </div>
    </div>
    ${total === 0 ? html`<div class="empty"><p class="empty-title">${t("now.empty")}</p><p class="muted">${t(hasFilter() ? "now.empty.filter" : "now.empty.none")}</p></div>` : ""}
    ${rows.failed ? html`<p class="note warn" role="alert">${t("now.failed")} <bdi>${shown(rows.failed.message)}</bdi></p>` : ""}`,
    root,
  );
  const count = document.getElementById("count");
  const said = total === null ? "" : t(rows.searching ? "now.found" : "now.count", { n: total });
  if (count.textContent !== said) count.textContent = said;
}

// -- what people do ------------------------------------------------------------

const hasFilter = () => Object.values(rows.query).some(Boolean);

function choose(leadId, event) {
  if (event?.target.closest("a, button")) return;
  if (state.selected === leadId) return;
  state.selected = leadId;
  redraw();
}

const on = {
  choose,
  act(event, row, what) {
    event.stopPropagation();
    (what === "take" ? acknowledge : snooze)(row);
  },
};

async function acknowledge(row) {
  if (!mayWork || standing(row) === "taken") return;
  const before = row.work;
  rows.patch(row.lead_id, { work: { name: "Lead Acknowledged", by: me, at: now(), pending: true } });
  try {
    await ask(`/api/v1/leads/${row.lead_id}/acknowledge`, { body: {} });
    toast(t("now.told.taken", { name: row.name }));
  } catch (error) {
    rows.patch(row.lead_id, { work: before });
    toast(`${t("now.failed")} ${error.message}`, "bad");
  }
}

const pause = document.getElementById("snooze");
let snoozed = null;
function snooze(row) {
  if (!mayWork) return;
  snoozed = row;
  pause.querySelector("[data-name]").textContent = shown(row.name);
  pause.showModal();
}
pause?.addEventListener("close", async () => {
  const minutes = Number(pause.returnValue);
  const row = snoozed;
  pause.returnValue = "";
  focusRow();
  if (!row || !minutes) return;
  const before = row.work;
  const until = now() + minutes * 60000;
  rows.patch(row.lead_id, { work: { name: "Lead Snoozed", by: me, at: now(), until, pending: true } });
  try {
    await ask(`/api/v1/leads/${row.lead_id}/snooze`, { body: { minutes } });
  } catch (error) {
    rows.patch(row.lead_id, { work: before });
    toast(`${t("now.failed")} ${error.message}`, "bad");
  }
});

function focusRow() {
  root.querySelector(`[data-lead="${CSS.escape(state.selected ?? "")}"]`)?.focus({ preventScroll: true });
}

function move(by) {
  const place = state.selected ? rows.placeOf(state.selected) : -1;
  const next = Math.min(Math.max(0, place + by), (rows.total ?? 1) - 1);
  const row = rows.at(next);
  if (!row) return;
  state.selected = row.lead_id;
  const top = next * rowHeight();
  const head = 34;
  if (top < root.scrollTop) root.scrollTop = top;
  else if (top + rowHeight() > root.scrollTop + root.clientHeight - head)
    root.scrollTop = top + rowHeight() - root.clientHeight + head;
  state.first = root.scrollTop;
  draw();
  focusRow();
}

const help = document.getElementById("help");
const chosenRow = () => rows.rows.get(state.selected);
const keys = {
  j: () => move(1),
  ArrowDown: () => move(1),
  k: () => move(-1),
  ArrowUp: () => move(-1),
  Enter: () => chosenRow() && location.assign(`/leads/${state.selected}`),
  a: () => chosenRow() && acknowledge(chosenRow()),
  s: () => chosenRow() && snooze(chosenRow()),
  "/": () => form.elements.text.focus(),
  "?": () => help.showModal(),
};
document.addEventListener("keydown", (event) => {
  const { target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (target.matches("input, select, textarea")) {
    if (event.key === "Escape") target.blur();
    return;
  }
  if (target.matches("button, a, summary") && event.key === "Enter") return;
  const key = keys[event.key];
  if (!key) return;
  event.preventDefault();
  key();
});
document.getElementById("help-button").addEventListener("click", () => help.showModal());

// -- filters, which the address keeps ------------------------------------------

function asked() {
  const query = {};
  for (const [name, value] of new FormData(form)) if (value) query[name] = value;
  return query;
}
let typing = null;
function filter() {
  const query = asked();
  const text = new URLSearchParams(query).toString();
  history.replaceState(null, "", text ? `?${text}` : location.pathname);
  document.getElementById("file").href = `/api/v1/leads.csv${text ? `?${text}` : ""}`;
  state.first = root.scrollTop = 0;
  state.selected = null;
  rows.filter(query);
}
form.addEventListener("input", (event) => {
  clearTimeout(typing);
  typing = setTimeout(filter, event.target.name === "text" ? 220 : 0);
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(typing);
  filter();
  move(1);
});

// -- alive ---------------------------------------------------------------------

const choices = new Choices();
const light = document.getElementById("live");
function alive(isLive) {
  if (state.live === isLive) return;
  state.live = isLive;
  light.dataset.live = isLive;
  light.querySelector("span").textContent = t(isLive ? "now.live" : "now.offline");
}
listen({
  status: alive,
  reset: () => rows.reset(),
  lead: (told) => rows.lead(told),
  gone: () => rows.reset(),
  work: (told) => rows.work(told),
  deal: (told) => rows.patch(told.lead_id, { deal_value: told.deal_value }),
  alert: (told) => {
    rows.alert(told);
    if (told.alert.kind !== "hot" || told.alert.recalled) return;
    if (choices.sound) chime();
    if (choices.notices) notify(t("now.notice", { name: told.name, score: Math.round(told.score) }), told.lead_id);
  },
});

// Who flings passes more rows than can be drawn: those are brief until it rests.
const FAST = 3; // pixels a millisecond
function land() {
  state.flies = false;
  redraw();
}
root.addEventListener(
  "scroll",
  ({ timeStamp }) => {
    const far = Math.abs(root.scrollTop - state.first);
    state.flies = far > FAST * (timeStamp - state.scrolledAt);
    state.scrolledAt = timeStamp;
    state.first = root.scrollTop;
    clearTimeout(state.rests);
    if (state.flies) state.rests = setTimeout(land, 120);
    redraw();
  },
  { passive: true },
);
new ResizeObserver(() => {
  state.height = root.clientHeight;
  redraw();
}).observe(root);
phone.addEventListener("change", redraw);
setInterval(redraw, 20000); // "2 min ago" goes on
state.height = root.clientHeight;
draw(); // takes over the rows that came with the page
root.dataset.ready = "true";
