// A lead's (or an account's) page: its chart, what people do, and what changes meanwhile.

import { ask, boot, t, toast } from "./page.js";
import { listen } from "./live.js";
import { course } from "./course.js";

const { lead_id: leadId, account_id: accountId } = boot.data;
const place = document.getElementById("chart");
let chart = course(place, boot.data);
const dark = matchMedia("(prefers-color-scheme: dark)");
dark.addEventListener("change", () => {
  chart?.destroy();
  chart = course(place, boot.data);
});

// The explanation is reckoned from what the workers keep: it comes after the page.
const why = document.getElementById("why");
async function explain(tries = 5) {
  if (!why) return;
  const asked = fetch(why.dataset.why, { headers: { Accept: "text/html" } });
  const answer = await asked.catch(() => null);
  if (answer?.redirected) return;
  if (!answer?.ok) {
    // The broker may be busy, or not there for a moment.
    if (tries) setTimeout(() => explain(tries - 1), 2000);
    return;
  }
  const found = new DOMParser().parseFromString(await answer.text(), "text/html");
  why.replaceChildren(...found.body.children);
  why.dataset.ready = "true";
}
explain();

/** Let the server write anew what may have changed, and put it in its place. */
let waiting = null;
function refresh() {
  waiting ??= setTimeout(async () => {
    waiting = null;
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (answer.status === 404) return location.assign("/");
    if (!answer.ok || answer.redirected) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-fresh]")) {
      const fresh = page.querySelector(`[data-fresh="${part.dataset.fresh}"]`);
      if (fresh && fresh.innerHTML !== part.innerHTML && !part.contains(document.activeElement))
        part.innerHTML = fresh.innerHTML;
      else if (fresh && fresh.innerHTML !== part.innerHTML) {
        const at = document.activeElement.dataset?.act;
        part.innerHTML = fresh.innerHTML;
        part.querySelector(`[data-act="${at}"]`)?.focus();
      }
    }
    Object.assign(boot.data, JSON.parse(page.getElementById("boot").textContent).data);
    chart?.destroy();
    chart = course(place, boot.data);
    explain();
  }, 250);
}
const mine = (told) => (told.lead_id === leadId || (accountId && told.account_id === accountId)) && refresh();
listen({ lead: mine, account: mine, alert: mine, work: mine, deal: mine, gone: mine, reset: refresh });

// -- what people do ------------------------------------------------------------

async function tell(what, body, said) {
  try {
    await ask(`/api/v1/leads/${leadId}/${what}`, { body });
    toast(said);
    refresh();
  } catch (error) {
    toast(`${t("now.failed")} ${error.message}`, "bad");
  }
}
const acts = {
  acknowledge: () => tell("acknowledge", {}, t("lead.said")),
  unfit: () => tell("acknowledge", { verdict: "unfit" }, t("lead.said")),
  snooze: () => document.getElementById("snooze").showModal(),
  assign: () => document.getElementById("assign").showModal(),
  erase: () => document.getElementById("erase").showModal(),
};
document.addEventListener("click", (event) => {
  const act = event.target.closest("[data-act]")?.dataset.act;
  if (act) acts[act]();
});
const closed = (id, then) =>
  document.getElementById(id)?.addEventListener("close", ({ target }) => {
    const value = target.returnValue;
    target.returnValue = "";
    if (value) then(value, target);
  });
closed("snooze", (minutes) => tell("snooze", { minutes: Number(minutes) }, t("lead.said")));
closed("assign", (_, dialog) =>
  tell("assign", { owner: dialog.querySelector("input").value }, t("lead.said")),
);
closed("erase", async () => {
  try {
    await ask(`/api/v1/leads/${leadId}/erase`, { body: { confirm: leadId } });
    location.assign("/");
  } catch (error) {
    toast(`${t("now.failed")} ${error.message}`, "bad");
  }
});
