// One row of the board. It is written anew only when what it shows changed.

import { Component, html } from "../vendor/htm-preact.js";
import { ago, boot, money, number, shown, signed, t, tier, time, who } from "./page.js";
import { standing } from "./rows.js";
import { Spark } from "./spark.js";

const { titles, events, may_work: mayWork } = boot.data;

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
          dir="ltr"
          class="num ${each.points > 0 ? "up" : "down"}"
          >${signed(each.points, 0)}</bdi
        >${i < why.length - 1 ? " · " : ""}</span
      >`,
  );
}

const When = ({ at }) =>
  at ? html`<time datetime=${new Date(at).toISOString()} title=${time(at)}>${ago(at)}</time>` : "";

function Standing({ row, how }) {
  if (how === "open")
    return html`<span class="chip bad">${t(row.alert.kind === "hot" ? "now.hot" : "now.call")}</span>`;
  if (how === "snoozed")
    return html`<span class="chip warn" title=${time(row.work.until)}>${t("now.snoozed", { by: who(row.work.by) })}</span>`;
  if (how === "taken")
    return html`<span class="chip good">${row.work.by ? t("now.taken", { by: who(row.work.by) }) : t("now.worked")}</span>`;
  if (how === "unfit") return html`<span class="chip">${t("now.unfit")}</span>`;
  return "";
}

/** A row at its place, `brief` while it flies by; `tick` changes when time alone changes what it says. */
export class Row extends Component {
  shouldComponentUpdate(next) {
    const same = (name) => next[name] === this.props[name];
    return !["row", "place", "height", "chosen", "first", "fresh", "tick", "brief"].every(same);
  }

  render({ row, place, height, chosen, first, fresh, brief, on }) {
    const top = { transform: `translateY(${place * height}px)` };
    if (!row)
      return html`<div class="b-row" role="row" style=${top} aria-rowindex=${place + 2}>
        <div role="gridcell" class="b-wait"><span class="skeleton">${t("now.loading")}</span></div>
      </div>`;
    if (brief)
      return html`<div class="b-row" role="row" style=${top} aria-rowindex=${place + 2} data-lead=${row.lead_id}>
        <div role="gridcell" class="b-tier">${tier(row.tier)}</div>
        <div role="gridcell" class="b-score num"><b>${number(row.score)}</b></div>
        <div role="gridcell" class="b-trend"></div>
        <div role="gridcell" class="b-name clip">${shown(row.name)}</div>
      </div>`;
    const how = standing(row);
    return html`<div
      class="b-row is-${how || "quiet"}${fresh ? " fresh" : ""}"
      role="row"
      style=${top}
      aria-rowindex=${place + 2}
      aria-selected=${chosen}
      tabindex=${chosen || first ? 0 : -1}
      data-lead=${row.lead_id}
      onClick=${(event) => on.choose(row.lead_id, event)}
      onFocus=${() => on.choose(row.lead_id)}
    >
      <div role="gridcell" class="b-tier"><span class="chip tier-${row.tier}">${tier(row.tier)}</span></div>
      <div role="gridcell" class="b-score num"><b>${number(row.score)}</b><svg class="bar tier-${row.tier}" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true"><rect class="bar-ground" width="100" height="6" /><rect class="bar-fill" width=${row.score} height="6" /></svg></div>
      <div role="gridcell" class="b-trend"><${Spark} points=${row.trend} tier=${row.tier} /></div>
      <div role="gridcell" class="b-name"><a href="/leads/${row.lead_id}" tabindex="-1" title=${shown(row.name)}><${Name} name=${row.name} /></a></div>
      <div role="gridcell" class="b-why"><${Why} why=${row.why} /></div>
      <div role="gridcell" class="b-owner" title=${shown(row.owner)}><span class="clip" dir="auto">${shown(row.owner).split("@")[0]}</span></div>
      <div role="gridcell" class="b-last muted" title=${events[row.last_event] ?? shown(row.last_event)}><${When} at=${row.last_at} /></div>
      <div role="gridcell" class="b-next muted"><${When} at=${row.next_change_at} /></div>
      <div role="gridcell" class="b-deal num">${row.deal_value ? html`<bdi>${money(row.deal_value)}</bdi>` : ""}</div>
      <div role="gridcell" class="b-act"><${Standing} row=${row} how=${how} />${
        mayWork && how === "open"
          ? html`<span class="b-buttons"><button class="button" tabindex="-1" onClick=${(e) => on.act(e, row, "take")} title="${t("now.take")} (a)">${t("now.take")}</button><button class="button quiet" tabindex="-1" onClick=${(e) => on.act(e, row, "snooze")} title="${t("now.snooze")} (s)">${t("now.snooze")}</button></span>`
          : ""
      }</div>
    </div>`;
  }
}
