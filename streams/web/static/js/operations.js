// Dead letters: shown once the page stands, for their topic has to be read; and put back.
import { ask, number, t, toast } from "./page.js";

const place = document.getElementById("letters");

async function show() {
  const answer = await fetch("/operations/letters", { headers: { Accept: "text/html" } });
  if (answer.ok) place.innerHTML = await answer.text();
}

place.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const dry = event.submitter?.name === "dry";
  const reason = form.elements.reason.value || null;
  for (const button of form.querySelectorAll("button")) button.disabled = true;
  try {
    const found = await ask("/api/v1/dead-letters/replay", { body: { reason, dry_run: dry } });
    const left = Object.values(found.left).reduce((sum, each) => sum + each, 0);
    const key = dry ? "operations.replay.would" : "operations.replay.done";
    toast(t(key, { n: number(found.put_back), left: number(left) }));
    if (!dry) await show();
  } catch (error) {
    toast(error.message, "bad");
  }
  for (const button of place.querySelectorAll("button")) button.disabled = false;
});

show();
