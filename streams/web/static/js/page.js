// What every page's script begins with: what the server gave, words, numbers, asking.

const given = document.getElementById("boot");
export const boot = given ? JSON.parse(given.textContent) : { words: {}, data: null };

const controls =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;

/** Text of others, without what turns or hides it. */
export const shown = (text) => String(text ?? "").replace(controls, "\ufffd");

/** The words of a key, with values in their places. */
export function t(key, values) {
  let text = boot.words[key] ?? key;
  for (const [name, value] of Object.entries(values ?? {}))
    text = text.replaceAll(`{${name}}`, typeof value === "number" ? number(value) : shown(value));
  return text;
}

const writers = new Map();
export function number(value, places = 0) {
  if (!writers.has(places))
    writers.set(
      places,
      new Intl.NumberFormat(boot.tag, { maximumFractionDigits: places }),
    );
  return writers.get(places).format(value);
}
export const signed = (value, places = 1) =>
  (value > 0 ? "+" : "") + number(value, places).replace("-", "−");

/** An amount as server pages write it. */
export function money({ amount, currency }) {
  const much = Math.abs(amount) >= 1e6;
  const n = much ? number(amount / 1e6, 1) : number(amount);
  return t(much ? "money.much" : "money", { n, sign: boot.signs[currency] ?? `${currency}\u00a0` });
}

/** A tier's name: the model's own where it is none of ours. */
export const tier = (name) => boot.words[`tier.${name}`] ?? shown(name);

/** Who did something; without tokens nobody has a name. */
export const who = (name) => (name === "anybody" ? t("app.anybody") : name);

const instant = new Intl.DateTimeFormat(boot.tag, { dateStyle: "medium", timeStyle: "short" });
export const time = (at) => instant.format(new Date(at));

const skew = (boot.now ?? Date.now()) - Date.now();
/** The present instant by the server's clock. */
export const now = () => Date.now() + skew;

/** How long ago it was, or how soon it will be. */
export function ago(at) {
  const apart = now() - (typeof at === "number" ? at : Date.parse(at));
  const way = apart >= 0 ? "ago" : "in";
  for (const [name, length] of [["days", 864e5], ["hours", 36e5], ["minutes", 6e4]])
    if (Math.abs(apart) >= length)
      return t(`${way}.${name}`, { n: Math.floor(Math.abs(apart) / length) });
  return t(`${way}.now`);
}

const root = getComputedStyle(document.documentElement);
const probe = document.createElement("i");
probe.hidden = true;
document.body.append(probe);
/** A colour of tokens.css as it is by the scheme of now, for what cannot read CSS; "" where there is none. */
export function colour(name) {
  if (!root.getPropertyValue(name)) return "";
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}
export const font = () => `11px ${getComputedStyle(document.body).fontFamily}`;

/** Ask the API: JSON back, or an Error that says why not (its `status` says which). */
export async function ask(path, options = {}) {
  const { body, ...rest } = options;
  const answer = await fetch(path, {
    headers: { Accept: "application/json", ...(body ? { "Content-Type": "application/json" } : {}) },
    ...rest,
    ...(body ? { method: "POST", body: JSON.stringify(body) } : {}),
  });
  if (answer.status === 401) location.assign(`/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({}));
    throw Object.assign(new Error(problem.detail || answer.statusText), { status: answer.status });
  }
  return answer.status === 204 ? null : answer.json();
}

/** Say something in the corner for a while. */
export function toast(text, kind = "") {
  const place = document.getElementById("toasts");
  const told = document.createElement("p");
  told.className = `toast ${kind}`;
  told.textContent = text;
  place.append(told);
  setTimeout(() => told.remove(), 6000);
}

// On a phone the navigation scrolls: the page that is open is seen in it.
document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

// The menu of preferences closes as menus do.
const menu = document.querySelector("details.pref");
document.addEventListener("click", (event) => {
  if (menu?.open && !menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && menu?.open) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});
