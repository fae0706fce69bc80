// The studio: what-if numbers, the draft's editor, and what the server says of both.
import { html, render } from "../vendor/htm-preact.js";
import { ago, ask, boot, number, shown, signed, t, time, toast } from "./page.js";

const $ = (id) => document.getElementById(id);
const { text: live, digest } = boot.data;

// ── tabs ───────────────────────────────────────────────────────────────────────
const tabs = [...document.querySelectorAll("[role=tab]")];
function open(tab, focus = false) {
  for (const each of tabs) {
    const chosen = each === tab;
    each.setAttribute("aria-selected", chosen);
    each.tabIndex = chosen ? 0 : -1;
    $(each.getAttribute("aria-controls")).hidden = !chosen;
  }
  if (focus) tab.focus();
  const hash = `#${tab.id.replace("tab-", "")}`;
  if (location.hash !== hash) history.replaceState(null, "", hash);
  if (tab.id === "tab-versions") shadows();
  if (tab.id === "tab-draft") drawGutter();
}
for (const tab of tabs) tab.addEventListener("click", () => open(tab));
document.querySelector("[role=tablist]").addEventListener("keydown", (event) => {
  const rtl = document.documentElement.dir === "rtl";
  const step = { ArrowRight: rtl ? -1 : 1, ArrowLeft: rtl ? 1 : -1 }[event.key];
  if (!step) return;
  const place = tabs.indexOf(document.activeElement);
  open(tabs[(place + step + tabs.length) % tabs.length], true);
});

// ── small parts ────────────────────────────────────────────────────────────────
const known = ["gold", "silver", "bronze"];
const tier = (name) => html`<span class=${`chip tier-${known.includes(name) ? name : "none"}`}>${boot.words[`tier.${name}`] ?? shown(name)}</span>`;
const waiting = (place) => render(html`<div class="skeleton block"></div>`, place);
const failed = (place, error) => render(html`<p class="note warn"><bdi>${shown(error.message)}</bdi></p>`, place);
async function during(button, place, work) {
  button.disabled = true;
  waiting(place);
  try {
    await work();
  } catch (error) {
    failed(place, error);
  }
  button.disabled = false;
}

// ── the draft ──────────────────────────────────────────────────────────────────
const editor = $("text");
const key = `lp-draft-${digest}`;
let checked = null;

function drawGutter(bad = new Set()) {
  if (!editor) return;
  const lines = editor.value.split("\n").length;
  render(
    html`${Array.from({ length: lines }, (_, place) => html`<span class=${bad.has(place + 1) ? "bad" : ""}>${place + 1}${"\n"}</span>`)}`,
    $("gutter"),
  );
  $("gutter").scrollTop = editor.scrollTop;
}

function goTo(line, column) {
  const lines = editor.value.split("\n");
  const start = lines.slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0) + column - 1;
  editor.focus();
  editor.setSelectionRange(start, start);
  editor.scrollTop = Math.max(0, (line - 6) * parseFloat(getComputedStyle(editor).lineHeight));
}

function verdict(found) {
  checked = found;
  const bad = new Set(found.problems.map((each) => each.line));
  drawGutter(bad);
  editor.setAttribute("aria-invalid", String(!found.valid));
  const changed = editor.value !== live;
  $("draft-mark").hidden = !changed;
  const button = $("publish");
  if (button) {
    button.disabled = !found.valid || found.same;
    $("publish-why").textContent = !found.valid ? t("studio.publish.wrong") : found.same ? t("studio.publish.same") : t("studio.publish.ready", { version: found.version, digest: found.digest });
  }
  const say = (each) => html`<li><button class="problem" onClick=${() => goTo(each.line, each.column)}><b dir="ltr">${number(each.line)}:${number(each.column)}</b><span lang="en"><bdi>${shown(each.message)}${each.suggestion ? html` <em>${t("studio.meant", { word: each.suggestion })}</em>` : ""}</bdi><code dir="ltr">${shown(each.path)}</code></span></button></li>`;
  render(
    found.valid
      ? html`<p class="verdict good">${t("studio.right", { rules: found.rules })} <code>${found.digest}</code></p>
          ${found.advice.length ? html`<ul class="advice">${found.advice.map((each) => html`<li lang="en"><bdi>${shown(each)}</bdi></li>`)}</ul>` : ""}`
      : html`<p class="verdict bad">${t("studio.wrong", { n: found.problems.length })}</p><ul class="problems">${found.problems.map(say)}</ul>`,
    $("verdict"),
  );
}

let timer = 0;
let asked = 0;
async function check() {
  const mine = ++asked;
  sessionStorage.setItem(key, editor.value);
  try {
    const found = await ask("/api/v1/models/check", { body: { text: editor.value || " " } });
    if (mine === asked) verdict(found);
  } catch (error) {
    if (mine === asked) failed($("verdict"), error);
  }
}
function touched() {
  drawGutter();
  clearTimeout(timer);
  timer = setTimeout(check, 350);
}

if (editor) {
  editor.value = sessionStorage.getItem(key) ?? live;
  editor.addEventListener("input", touched);
  editor.addEventListener("scroll", () => ($("gutter").scrollTop = editor.scrollTop));
  editor.addEventListener("keydown", (event) => {
    // Two spaces as YAML has them; Escape then Tab leaves the field.
    if (event.key === "Tab" && !event.shiftKey && !editor.dataset.leaving) {
      event.preventDefault();
      document.execCommand("insertText", false, "  ");
    }
    editor.dataset.leaving = event.key === "Escape" ? "yes" : "";
  });
  $("reset").addEventListener("click", () => {
    editor.value = live;
    for (const each of document.querySelectorAll(".what-if")) each.value = each.dataset.was;
    check();
  });
  $("run-effect").addEventListener("click", () => effect());
  $("try-form").addEventListener("submit", (event) => {
    event.preventDefault();
    tryOn(event.target.elements.lead.value.trim());
  });
  $("run-tests").addEventListener("click", () => tests());
  check();
}

// ── what if a rule gave so many points ─────────────────────────────────────────
for (const field of document.querySelectorAll(".what-if")) {
  field.addEventListener("change", async () => {
    const points = Number(field.value);
    if (!field.checkValidity() || field.value === "") return field.reportValidity();
    field.classList.toggle("changed", points !== Number(field.dataset.was));
    try {
      const found = await ask("/api/v1/models/adjust", { body: { text: editor.value, points: { [field.dataset.rule]: points } } });
      editor.value = found.text;
      sessionStorage.setItem(key, editor.value);
      verdict(found.checked);
      toast(t("studio.whatif.done"));
    } catch (error) {
      toast(error.message, "bad");
    }
  });
}

// ── what it would change ───────────────────────────────────────────────────────
const row = (name, before, after, better = 0) => {
  const apart = after - before;
  const kind = !better || !apart ? "" : Math.sign(apart) === better ? "up" : "down";
  return html`<tr><th scope="row">${name}</th><td class="end">${number(before, 2)}</td><td class="end"><b>${number(after, 2)}</b></td><td class=${`end ${kind}`}>${apart ? signed(apart, 2) : "–"}</td></tr>`;
};
function effect() {
  return during($("run-effect"), $("effect"), async () => {
    const found = await ask("/api/v1/models/effect", { body: { text: editor.value } });
    if (!found.leads) {
      render(html`<p class="muted">${t("studio.effect.none")}</p>`, $("effect"));
      return;
    }
    const { before, after } = found;
    const tiers = [...new Set([...Object.keys(before.tiers), ...Object.keys(after.tiers)])];
    tiers.sort((one, other) => (known.indexOf(one) + 9) % 9 - ((known.indexOf(other) + 9) % 9));
    render(
      html`<p class="verdict">${t("studio.effect.says", { changed: found.changed, leads: found.leads, events: found.events, days: number(found.days, 1) })}</p>
        <table><thead><tr><th></th><th class="end">${t("studio.before")}</th><th class="end">${t("studio.after")}</th><th class="end">±</th></tr></thead><tbody>
          ${row(t("studio.per_day"), before.per_day, after.per_day)}
          ${row(t("studio.busiest"), before.busiest, after.busiest)}
          ${before.ranking != null && after.ranking != null ? row(t("studio.ranking"), before.ranking, after.ranking, 1) : ""}
          ${tiers.map((name) => row(tier(name), before.tiers[name] ?? 0, after.tiers[name] ?? 0))}
        </tbody></table>
        <p class="muted more">${t("studio.effect.alerts", { gained: found.gained, lost: found.lost, earlier: found.earlier, later: found.later, same: found.same })}</p>
        ${found.moves.length ? html`<ul class="moves">${found.moves.map((each) => html`<li>${tier(each.before)}<span class="arrow" aria-hidden="true">→</span>${tier(each.after)} <b class="num">${number(each.leads)}</b></li>`)}</ul>` : ""}
        ${found.examples.length ? html`<details><summary>${t("studio.who")}</summary><div class="table-wrap tall"><table><tbody>${found.examples.map((each) => html`<tr><td><a href=${`/leads/${encodeURIComponent(each.lead_id)}`} class="mono">${each.lead_id.slice(0, 14)}…</a></td><td>${tier(each.before)} ${number(each.score_before, 1)}</td><td>${tier(each.after)} ${number(each.score_after, 1)}</td></tr>`)}</tbody></table></div></details>` : ""}`,
      $("effect"),
    );
  });
}

function tryOn(lead) {
  const button = $("try-form").querySelector("button");
  return during(button, $("tried"), async () => {
    const found = await ask("/api/v1/models/try", { body: { text: editor.value, lead } });
    const lines = found.lines.toSorted((one, other) => Math.abs(other.after - other.before) - Math.abs(one.after - one.before) || Math.abs(other.after) - Math.abs(one.after));
    render(
      html`<p class="versus"><span>${tier(found.tier_before)} <b class="num">${number(found.score_before, 1)}</b></span><span class="arrow" aria-hidden="true">→</span><span>${tier(found.tier_after)} <b class="num">${number(found.score_after, 1)}</b></span> <a href=${`/leads/${encodeURIComponent(found.lead_id)}`}>${t("studio.try.open")}</a></p>
        <table><thead><tr><th>${t("studio.what")}</th><th class="end">${t("studio.before")}</th><th class="end">${t("studio.after")}</th></tr></thead><tbody>
        ${lines.map((each) => html`<tr class=${each.before === each.after ? "" : "differs"}><th scope="row"><bdi>${shown(each.title)}</bdi></th><td class="end" dir="ltr">${signed(each.before, 2)}</td><td class="end" dir="ltr">${signed(each.after, 2)}</td></tr>`)}</tbody></table>
        ${found.says.filter((each) => ["for", "against", "way"].includes(each.name)).map((each) => html`<details><summary>${shown(each.heading)}</summary><ul class="says">${each.lines.map((line) => html`<li>${line}</li>`)}</ul></details>`)}`,
      $("tried"),
    );
  });
}

function tests() {
  return during($("run-tests"), $("tests"), async () => {
    const found = await ask("/api/v1/models/timelines", { body: { text: editor.value } });
    const bad = found.outcomes.filter((each) => each.misses.length);
    render(
      html`<p class=${`verdict ${found.failed || found.problems.length ? "bad" : "good"}`}>${found.failed ? t("studio.tests.failed", { run: found.run, failed: found.failed }) : t("studio.tests.hold", { run: found.run })}</p>
        <ul class="misses">${found.problems.map((each) => html`<li lang="en"><bdi>${each.line}: ${shown(each.message)}</bdi></li>`)}
        ${bad.map((each) => html`<li><b><bdi>${shown(each.name)}</bdi></b><ul>${each.misses.map((miss) => html`<li lang="en"><bdi>${t("studio.miss", { at: miss.at, what: miss.what, expected: miss.expected, got: miss.got })}</bdi></li>`)}</ul></li>`)}</ul>`,
      $("tests"),
    );
  });
}

// ── publishing ─────────────────────────────────────────────────────────────────
function brought(found) {
  if (found.already) return toast(t("studio.already", { version: found.version }));
  sessionStorage.removeItem(key);
  toast(t("studio.published", { version: found.version }));
  setTimeout(() => location.reload(), Math.max(400, found.at - Date.now() + 400));
}
$("publish-form")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  $("publish").disabled = true;
  try {
    brought(await ask("/api/v1/models/publish", { body: { text: editor.value, note: event.target.elements.note.value } }));
  } catch (error) {
    toast(error.message, "bad");
    $("publish").disabled = false;
  }
});

const sure = $("confirm");
for (const button of document.querySelectorAll("[data-roll-back]")) {
  button.addEventListener("click", () => {
    $("confirm-title").textContent = t("studio.roll_back.ask", { name: button.dataset.name });
    $("confirm-text").textContent = t("studio.roll_back.text");
    sure.dataset.to = button.dataset.rollBack;
    sure.returnValue = "";
    sure.showModal();
  });
}
sure.addEventListener("close", async () => {
  if (sure.returnValue !== "yes") return;
  try {
    const note = sure.querySelector("[name=note]").value;
    brought(await ask("/api/v1/models/rollback", { body: { to: sure.dataset.to, note } }));
  } catch (error) {
    toast(error.message, "bad");
  }
});

// ── models beside the primary ──────────────────────────────────────────────────
let shadowsAsked = false;
async function shadows() {
  if (shadowsAsked) return;
  shadowsAsked = true;
  waiting($("shadows"));
  try {
    const found = await ask("/api/v1/models/shadows");
    render(
      found.shadows.length
        ? html`${found.shadows.map((each) => html`<section class="shadow"><h3><bdi>${shown(each.slot)}</bdi> <code class="muted">${each.digest}</code></h3><p>${t("studio.shadow.says", { changed: each.changed, leads: each.leads, version: each.version })} · <time datetime=${new Date(each.since).toISOString()} title=${time(each.since)}>${ago(each.since)}</time></p>
            ${each.moves.length ? html`<div class="table-wrap tall"><table><tbody>${each.moves.map((move) => html`<tr><td><a class="mono" href=${`/leads/${encodeURIComponent(move.lead_id)}`}>${move.lead_id.slice(0, 14)}…</a></td><td>${tier(move.tier)} ${number(move.score, 1)}</td><td>${tier(move.shadow_tier)} ${number(move.shadow_score, 1)}</td></tr>`)}</tbody></table></div>` : ""}</section>`)}`
        : html`<div class="empty"><p class="empty-title">${t("studio.shadows.empty")}</p><p class="muted">${t("studio.shadows.empty.text")}</p></div>`,
      $("shadows"),
    );
  } catch (error) {
    failed($("shadows"), error);
  }
}

const wanted = tabs.find((each) => `#${each.id.replace("tab-", "")}` === location.hash);
if (wanted) open(wanted);
else if (new URLSearchParams(location.search).has("lead") && $("tab-draft")) {
  open($("tab-draft"));
  tryOn($("try-form").elements.lead.value);
}
