// The ranked board: an island that lives on the API and on live events.

import { html, render } from "../vendor/htm-preact.js";
import { ago, ask, boot, now, number, shown, signed, t, time, toast } from "./page.js";
import { listen } from "./live.js";
import { chime, Choices, notify } from "./calls.js";
import { me, Rows, standing } from "./rows.js";
import { Spark } from "./spark.js";

const root = document.getElementById("board");
const { titles, tiers, may_work: mayWork } = boot.data;
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

// -- what a row shows ----------------------------------------------------------

const money = (deal) =>
  deal
    ? new Intl.NumberFormat(boot.tag, {
        style: "currency",
        currency: deal.currency,
        currencyDisplay: "narrowSymbol",
        maximumFractionDigits: 0,
        notation: deal.amount >= 1e6 ? "compact" : "standard",
      }).format(deal.amount)
    : "";

function worth(deal) {
  try {
    return money(deal);
  } catch {
    return `${number(deal.amount)} ${shown(deal.currency)}`; // no currency that there is
  }
}

/** An address in two lines: the person, then where they are. */
function Name({ name }) {
  const [person, place] = shown(name).split(/@(?=[^@]*$)/);
  return html`<span class="clip" dir="auto">${person}</span>${
    place ? html`<span class="clip place" dir="auto">@${place}</span>` : ""
  }`;
}

function Why({ why }) {
  if (!why?.length) return html`<span class="muted">${t("now.why.none")}</span>`;
  return why.map(
    (each, i) => html`<span
        ><bdi>${titles[each.rule] ?? shown(each.text)}</bdi>${" "}<bdi
          class="num ${each.points > 0 ? "up" : "down"}"
          >${signed(each.points, 0)}</bdi
        >${i < why.length - 1 ? " · " : ""}</span
      >`,
  );
}

const When = ({ at }) =>
  at ? html`<time datetime=${new Date(at).toISOString()} title=${time(at)}>${ago(at)}</time>` : "";

function Standing({ row }) {
  const how = standing(row);
  if (how === "open")
    return html`<span class="chip bad">${t(row.alert.kind === "hot" ? "now.hot" : "now.call")}</span>`;
  if (how === "snoozed")
    return html`<span class="chip warn" title=${time(row.work.until)}>${t("now.snoozed", { by: row.work.by })}</span>`;
  if (how === "taken") return html`<span class="chip good">${row.work.by ? t("now.taken", { by: row.work.by }) : t("now.worked")}</span>`;
  if (how === "unfit") return html`<span class="chip">${t("now.unfit")}</span>`;
  return "";
}

function Row({ row, place }) {
  const top = { transform: `translateY(${place * rowHeight()}px)` };
  if (!row)
    return html`<div class="b-row" role="row" style=${top} aria-rowindex=${place + 2}>
      <div role="gridcell" class="b-wait"><span class="skeleton">${t("now.loading")}</span></div>
    </div>`;
  const chosen = row.lead_id === state.selected;
  const how = standing(row);
  const fresh = row.changedAt && now() - row.changedAt < 4000 ? " fresh" : "";
  return html`<div
    class="b-row is-${how || "quiet"}${fresh}"
    role="row"
    style=${top}
    aria-rowindex=${place + 2}
    aria-selected=${chosen}
    tabindex=${chosen || (!state.selected && place === 0) ? 0 : -1}
    data-lead=${row.lead_id}
    onClick=${(event) => choose(row.lead_id, event)}
    onFocus=${() => choose(row.lead_id)}
  >
    <div role="gridcell" class="b-tier"><span class="chip tier-${row.tier}">${t(`tier.${row.tier}`)}</span></div>
    <div role="gridcell" class="b-score num"><b>${number(row.score)}</b>
      <svg class="bar tier-${row.tier}" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true"><rect class="bar-ground" width="100" height="6" rx="3" /><rect class="bar-fill" width=${row.score} height="6" rx="3" /></svg>
    </div>
    <div role="gridcell" class="b-trend"><${Spark} points=${row.trend} tier=${row.tier} /></div>
    <div role="gridcell" class="b-name"><a href="/leads/${row.lead_id}" tabindex="-1" title=${shown(row.name)}><${Name} name=${row.name} /></a></div>
    <div role="gridcell" class="b-why"><${Why} why=${row.why} /></div>
    <div role="gridcell" class="b-owner" title=${shown(row.owner)}><span class="clip" dir="auto">${shown(row.owner).split("@")[0]}</span></div>
    <div role="gridcell" class="b-last muted" title=${shown(row.last_event)}><${When} at=${row.last_at} /></div>
    <div role="gridcell" class="b-next muted"><${When} at=${row.next_change_at} /></div>
    <div role="gridcell" class="b-deal num">${row.deal_value ? worth(row.deal_value) : ""}</div>
    <div role="gridcell" class="b-act"><${Standing} row=${row} />${
      mayWork && how === "open"
        ? html`<span class="b-buttons">
            <button class="button" tabindex="-1" onClick=${(e) => act(e, row, acknowledge)} title="${t("now.take")} (a)">${t("now.take")}</button>
            <button class="button quiet" tabindex="-1" onClick=${(e) => act(e, row, snooze)} title="${t("now.snooze")} (s)">${t("now.snooze")}</button>
          </span>`
        : ""
    }</div>
  </div>`;
}

function draw() {
  const height = rowHeight();
  const total = rows.total;
  const first = Math.max(0, Math.floor(state.first / height) - 8);
  const last = first + Math.ceil(state.height / height) + 16;
  if (total !== 0) rows.see(first, last);
  const shownRows = [];
  for (let place = first; place <= Math.min(last, (total ?? 12) - 1); place += 1) {
    const row = rows.at(place);
    shownRows.push(html`<${Row} key=${row?.lead_id ?? `place ${place}`} row=${row} place=${place} />`);
  }
  render(
    html`<div class="b-grid" role="grid" aria-label=${t("now.board")} aria-rowcount=${(total ?? 0) + 1} aria-busy=${total === null}>
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

function act(event, row, what) {
  event.stopPropagation();
  what(row);
}

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
  alert: (told) => {
    rows.alert(told);
    if (told.alert.kind !== "hot" || told.alert.recalled) return;
    if (choices.sound) chime();
    if (choices.notices) notify(t("now.notice", { name: told.name, score: Math.round(told.score) }), told.lead_id);
  },
});

root.addEventListener(
  "scroll",
  () => {
    state.first = root.scrollTop;
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
root.replaceChildren();
draw();
root.dataset.ready = "true";
