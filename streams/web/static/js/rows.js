// The rows of the ranking that were loaded, and what live events do to them.

import { ask, boot, now } from "./page.js";

const PAGE = 60;
const TREND = 24;
const QUIET = 700; // milliseconds between two readings that live events ask for

/** The ranking as far as it is known: a place has a row once its page was read. */
export class Rows {
  constructor(query, first, redraw) {
    this.query = query;
    this.redraw = redraw;
    this.places = new Map(); // place → lead id
    this.rows = new Map(); // lead id → row
    this.asked = new Set(); // pages on their way
    this.total = 0;
    this.cursors = [null]; // of a search, which has no places: page → cursor
    this.turn = 0;
    this.readAt = 0;
    this.range = [0, 30];
    this.failed = null;
    if (first) this.take(0, first);
  }

  get searching() {
    return Boolean(this.query.text);
  }

  at(place) {
    return this.rows.get(this.places.get(place));
  }

  placeOf(leadId) {
    for (const [place, id] of this.places) if (id === leadId) return place;
    return -1;
  }

  filter(query) {
    this.query = query;
    this.places.clear();
    this.asked.clear();
    this.cursors = [null];
    this.total = null;
    this.turn += 1;
    this.redraw();
    return this.read(0);
  }

  /** Read what places `first` to `last` lack. */
  see(first, last) {
    this.range = [first, last];
    // Who scrolls fast passes pages that nobody wants to read.
    this.soon ??= setTimeout(() => {
      this.soon = null;
      this.fill(...this.range);
    }, 60);
  }

  fill(first, last) {
    for (let page = Math.floor(first / PAGE); page <= Math.floor(last / PAGE); page += 1)
      if (!this.places.has(page * PAGE) && (this.total === null || page * PAGE < this.total))
        this.read(page);
  }

  async read(page) {
    if (this.asked.has(page)) return;
    if (this.searching && this.cursors[page] === undefined) return;
    this.asked.add(page);
    const turn = this.turn;
    const query = new URLSearchParams(
      Object.entries(this.query).filter(([, value]) => value),
    );
    query.set("limit", PAGE);
    if (!this.searching) query.set("offset", page * PAGE);
    else if (this.cursors[page]) query.set("cursor", this.cursors[page]);
    try {
      const found = await ask(`/api/v1/leads?${query}`);
      if (turn === this.turn) this.take(page, found);
      this.failed = null;
    } catch (error) {
      this.failed = error;
    } finally {
      this.asked.delete(page);
      this.redraw();
    }
  }

  take(page, found) {
    found.leads.forEach((row, i) => {
      this.rows.set(row.lead_id, row);
      this.places.set(page * PAGE + i, row.lead_id);
    });
    for (let i = found.leads.length; i < PAGE; i += 1) this.places.delete(page * PAGE + i);
    if (this.searching) {
      this.cursors[page + 1] = found.next_cursor ?? undefined;
      this.total = page * PAGE + found.leads.length + (found.next_cursor ? 1 : 0);
    } else this.total = found.total;
    this.readAt = performance.now();
  }

  /** Read anew what is looked at; what is not is forgotten, for it moved. */
  again() {
    if (this.waiting) return;
    const wait = Math.max(40, QUIET - (performance.now() - this.readAt));
    this.waiting = setTimeout(async () => {
      this.waiting = null;
      const turn = this.turn;
      const first = Math.floor(this.range[0] / PAGE);
      const last = Math.floor(this.range[1] / PAGE);
      for (const place of this.places.keys())
        if (place < first * PAGE || place >= (last + 1) * PAGE) this.places.delete(place);
      this.asked.clear();
      for (let page = first; page <= last && turn === this.turn; page += 1) await this.read(page);
    }, wait);
  }

  reset() {
    this.readAt = 0;
    this.again();
  }

  lead(told) {
    const row = this.rows.get(told.lead_id);
    if (row && row.sequence >= told.sequence) return;
    const place = row ? this.placeOf(told.lead_id) : -1;
    if (row) {
      const trend = [...(row.trend ?? []), [told.at, told.score]].slice(-TREND);
      const seen = told.cause === "event" ? { last_at: told.at } : {};
      const cleared = { owner: undefined, why: [], next_change_at: undefined };
      this.rows.set(told.lead_id, { ...row, ...cleared, ...told, ...seen, trend, changedAt: now() });
      this.redraw();
    }
    if (place >= 0 && this.fits(told) && this.isStill(place, told.score)) return;
    if (place >= 0 || this.concerns(told)) this.again();
  }

  alert(told) {
    const row = this.rows.get(told.lead_id);
    if (!row || told.account_id) return;
    this.rows.set(told.lead_id, { ...row, alert: told.alert });
    this.redraw();
  }

  work(told) {
    const row = this.rows.get(told.lead_id);
    if (!row || (row.work && !row.work.pending && row.work.at > told.work.at)) return;
    // Whose the lead is does not change how it stands.
    const change = told.work.name === "Lead Assigned" ? { owner: told.work.owner ?? row.owner } : { work: told.work };
    this.rows.set(told.lead_id, { ...row, ...change });
    this.redraw();
  }

  patch(leadId, changes) {
    const row = this.rows.get(leadId);
    if (row) this.rows.set(leadId, { ...row, ...changes });
    this.redraw();
  }

  fits(told) {
    const { tier, owner, account, min_score: least, text } = this.query;
    return (
      !text &&
      (!tier || told.tier === tier) &&
      (!owner || told.owner === owner) &&
      (!account || told.account_id === account) &&
      (!least || told.score >= Number(least))
    );
  }

  isStill(place, score) {
    const [above, below] = [this.at(place - 1), this.at(place + 1)];
    return (!above || above.score >= score) && (!below || below.score <= score);
  }

  /** Whether a lead that is not loaded belongs to what is looked at. */
  concerns(told) {
    if (this.searching || !this.fits(told)) return false;
    const last = this.at(Math.min(this.range[1], (this.total ?? 1) - 1));
    return !last || told.score >= last.score;
  }
}

/** How it stands with a lead: "open" (somebody should hear), "snoozed", "taken", "unfit" or "". */
export function standing(row) {
  const { alert, work } = row;
  const told = alert && !alert.recalled && alert.kind !== "cooled";
  if (work && (!told || work.at >= alert.at || work.pending)) {
    if (work.name === "Lead Snoozed") return (work.until ?? 0) > now() ? "snoozed" : told ? "open" : "";
    if (work.name === "Lead Disqualified") return "unfit";
    return "taken";
  }
  return told ? "open" : "";
}

export const me = boot.data?.me ?? "";
