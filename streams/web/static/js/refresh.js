// Parts of a page that the server writes anew every few seconds, swapped in place.
for (const place of document.querySelectorAll("[data-refresh]")) {
  const every = Number(place.dataset.every) * 1000;
  const again = async () => {
    if (document.hidden || place.contains(document.activeElement)) return;
    try {
      const answer = await fetch(place.dataset.refresh, { headers: { Accept: "text/html" } });
      if (answer.redirected || !answer.ok) return;
      const text = await answer.text();
      if (place.contains(document.activeElement)) return;
      const scrolled = [...place.querySelectorAll(".table-wrap")].map((each) => each.scrollLeft);
      place.innerHTML = text;
      place.querySelectorAll(".table-wrap").forEach((each, number) => {
        each.scrollLeft = scrolled[number] ?? 0;
      });
    } catch {
      // Away for now: what is shown stays, and the next look may do better.
    }
  };
  setInterval(again, every);
  document.addEventListener("visibilitychange", () => document.hidden || again());
}
