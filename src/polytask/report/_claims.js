(() => {
  // Filters: within a row any pressed chip fits, between rows all must; every word of the search must occur.
  const search = byId("search");
  if (!search) return;
  const claims = all("article.claim").map((element) => ({
    element, line: document.querySelector(`.group[data-claim="${element.id}"]`), text: element.textContent.toLowerCase(),
  }));
  const chips = all(".chip");
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const pressed = (kind) => chips.filter((c) => c.dataset.kind === kind && c.getAttribute("aria-pressed") === "true").map((c) => c.dataset.value);
    const verdicts = pressed("verdict"), fields = pressed("field");
    let shown = 0;
    for (const { element, line, text } of claims) {
      const fits = (!verdicts.length || verdicts.includes(element.dataset.verdict)) && (!fields.length || fields.includes(element.dataset.field))
        && words.every((word) => text.includes(word));
      element.hidden = !fits;
      if (line) line.hidden = !fits;
      shown += fits;
    }
    byId("shown").textContent = `${shown} of ${claims.length} claims shown`;
    byId("nothing").hidden = shown > 0;
    byId("clear").hidden = shown === claims.length && !words.length && !verdicts.length && !fields.length;
  };
  for (const chip of chips) chip.addEventListener("click", () => {
    chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
    filter();
  });
  search.addEventListener("input", filter);
  search.form.addEventListener("submit", (event) => event.preventDefault());
  search.form.addEventListener("reset", () => {
    for (const chip of chips) chip.setAttribute("aria-pressed", "false");
    setTimeout(filter);
  });
  filter();
})();
