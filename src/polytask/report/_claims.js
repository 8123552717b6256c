(() => {
  const claims = all("article.claim"), lines = claims.map((claim) => document.querySelector(`.group[data-claim="${claim.id}"]`));
  filtered(claims.map((claim) => ({ data: claim.dataset, text: claim.textContent })), "claims", (fits) => {
    for (const [place, claim] of claims.entries()) for (const item of [claim, lines[place]]) item?.toggleAttribute("hidden", !fits[place]);
  });
})();
