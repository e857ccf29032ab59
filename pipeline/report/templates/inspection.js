"use strict";
for (const group of document.querySelectorAll(".distribution")) {
  const told = group.querySelector("output");
  const usual = told.textContent;
  for (const bar of group.querySelectorAll("[data-told]")) {
    bar.addEventListener("pointerenter", () => { told.textContent = bar.dataset.told; });
    bar.addEventListener("pointerleave", () => { told.textContent = usual; });
  }
}
