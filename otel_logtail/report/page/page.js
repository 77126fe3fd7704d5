(() => {
  const tip = document.createElement("div");
  tip.id = "tip"; tip.hidden = true; document.body.append(tip);
  addEventListener("pointermove", (event) => {
    const mark = event.target.closest?.("svg *"), title = mark?.querySelector(":scope > title");
    if (title) { mark.dataset.tip = title.textContent; title.remove(); }
    tip.textContent = mark?.dataset.tip ?? ""; tip.hidden = !tip.textContent;
    tip.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)) + "px";
    const below = event.clientY + 16, above = event.clientY - tip.offsetHeight - 10;
    tip.style.top = (below + tip.offsetHeight + 8 > innerHeight ? above : below) + "px";
  });
  const open = () => {
    let fold = document.getElementById(location.hash.slice(1));
    for (; fold; fold = fold.parentElement) if (fold.tagName === "DETAILS") fold.open = true;
  };
  addEventListener("hashchange", open); open();
  if (location.protocol === "file:") return;
  const folds = [...document.querySelectorAll("details")], kept = `open ${location.pathname}`;
  const name = (fold) => fold.id || `${fold.parentElement.getAttribute("aria-label")} ${fold.firstChild.textContent}`;
  const before = JSON.parse(sessionStorage.getItem(kept) ?? "[]");
  for (const fold of folds) if (before.includes(name(fold))) fold.open = true;
  addEventListener("pagehide", () => {
    sessionStorage.setItem(kept, JSON.stringify(folds.filter((fold) => fold.open).map(name)));
  });
})();
