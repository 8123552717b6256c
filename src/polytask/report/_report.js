(() => {
  // Sort: a click on a head; what is undefined comes last either way.
  for (const table of all("table.sortable")) all("th button.sort", table).forEach((button, column) => button.addEventListener("click", () => {
    const cell = button.closest("th"), numeric = [...table.tBodies[0].rows].every((row) => !Number.isNaN(Number(row.cells[column].dataset.sort)));
    const rise = cell.getAttribute("aria-sort") ? cell.getAttribute("aria-sort") !== "ascending" : !numeric;
    for (const head of all("th[aria-sort]", table)) head.removeAttribute("aria-sort");
    cell.setAttribute("aria-sort", rise ? "ascending" : "descending");
    const key = (row) => row.cells[column].dataset.sort;
    const order = (a, b) => {
      if (key(a) === "" || key(b) === "") return (key(a) === "") - (key(b) === "");
      return (rise ? 1 : -1) * (numeric ? key(a) - key(b) : key(a).localeCompare(key(b)));
    };
    table.tBodies[0].append(...[...table.tBodies[0].rows].sort(order));
  }));

  // Filter: systems are hidden wherever they are drawn.
  const rows = all("table.board tbody tr"), known = new Set(rows.map((row) => row.dataset.arm));
  filtered(rows.map((row) => ({ data: row.dataset, text: row.dataset.arm })), "systems", (fits) => {
    const shown = new Set(rows.filter((_, place) => fits[place]).map((row) => row.dataset.arm));
    for (const item of all("[data-arm]")) if (known.has(item.dataset.arm)) item.toggleAttribute("hidden", !shown.has(item.dataset.arm));
  });

  // One of several bodies at a time.
  for (const group of all(".choice")) {
    const buttons = all(":scope > .choose > [data-pick]", group);
    const pick = (chosen) => {
      for (const button of buttons) {
        button.setAttribute("aria-pressed", String(button === chosen));
        byId(button.dataset.pick).hidden = button !== chosen;
      }
    };
    for (const button of buttons) button.addEventListener("click", () => pick(button));
    pick(buttons[0]);
  }

  // The epoch of a matrix of cosines; the first place is the mean of all.
  for (const slider of all("input[data-epochs]")) {
    const epochs = slider.dataset.epochs.split(" "), cells = all("td[data-looks]", byId(slider.dataset.of));
    const looks = cells.map((cell) => cell.dataset.looks.split(" "));
    const show = () => {
      const at = Number(slider.value);
      cells.forEach((cell, place) => {
        const text = at ? looks[place][at - 1] : cell.dataset.mean, value = Number(text);
        const known = text !== "" && !Number.isNaN(value);
        cell.textContent = known ? (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2) : "–";
        cell.style.setProperty("--t", known ? Math.sqrt(Math.abs(value)).toFixed(2) : 0);
        cell.className = value < 0 ? "apart" : "together";
        cell.dataset.tip = `${cell.dataset.pair}: ${cell.textContent} ${at ? `in epoch ${epochs[at - 1]}` : "on the mean"}`;
      });
      slider.setAttribute("aria-valuetext", slider.nextElementSibling.value = at ? `epoch ${epochs[at - 1]}` : "mean of all");
    };
    slider.addEventListener("input", show);
    show();
  }

  for (const button of all("button.all")) button.addEventListener("click", () => {
    const whole = button.previousElementSibling.querySelector("table").classList.toggle("whole");
    button.dataset.more ??= button.textContent;
    button.textContent = whole ? "Show fewer" : button.dataset.more;
    button.setAttribute("aria-expanded", String(whole));
  });
  for (const button of all("button.copy")) button.addEventListener("click", async () => {
    const text = button.previousElementSibling.textContent;
    try { await navigator.clipboard.writeText(text); button.textContent = "Copied"; } catch { getSelection().selectAllChildren(button.previousElementSibling); }
  });

  // Where the reader is.
  const links = new Map(all(".contents a").map((link) => [link.getAttribute("href").slice(1), link]));
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) if (isIntersecting) for (const [id, link] of links) link.toggleAttribute("aria-current", false), id === target.id && link.setAttribute("aria-current", "true");
  }, { rootMargin: "-20% 0px -70% 0px" });
  for (const id of links.keys()) seen.observe(byId(id));
})();
