// The server's live events: one stream for a page, which resumes by itself.

import { ask } from "./page.js";

const kinds = ["lead", "account", "alert", "work", "deal", "gone", "reset", "hello"];

/** Call `on[kind](data)` for what changes, and `on.status(isLive)` as the stream comes and goes. */
export function listen(on) {
  let stream = null;
  let closed = 0;
  const open = () => {
    stream = new EventSource("/api/v1/live");
    stream.onopen = () => on.status?.(true);
    stream.onerror = () => {
      on.status?.(false);
      // A refused stream is not tried again by the browser: see why, then begin anew.
      if (stream.readyState === EventSource.CLOSED) {
        closed += 1;
        ask("/api/v1/alerts?limit=1").catch(() => {});
        setTimeout(() => {
          open();
          on.reset?.({});
        }, Math.min(30000, 1000 * closed));
      }
    };
    for (const kind of kinds)
      stream.addEventListener(kind, (event) => {
        closed = 0;
        on.status?.(true);
        on[kind]?.(JSON.parse(event.data));
      });
  };
  open();
  addEventListener("offline", () => on.status?.(false));
  addEventListener("pagehide", () => stream.close());
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
}
