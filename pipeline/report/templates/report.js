"use strict";
const read = (id) => JSON.parse(document.getElementById(id).textContent);
for (const stack of document.querySelectorAll("[data-stack]")) {
  const greys = read("greys");
  const { numbers, overlays } = read(`${stack.dataset.stack}-stack`);
  const first = Number(stack.dataset.first);
  const range = stack.querySelector("input");
  const show = (place) => {
    range.value = place;
    range.setAttribute("aria-valuetext", `slice ${numbers[place]}`);
    stack.querySelector(".grey").setAttribute("href", greys[place]);
    const overlay = stack.querySelector(".overlay");
    if (overlay) overlay.setAttribute("href", overlays[place]);
    stack.querySelector(".cross").classList.toggle("elsewhere", place !== first);
    stack.querySelector("output").textContent = numbers[place];
  };
  range.addEventListener("input", () => show(Number(range.value)));
  stack.querySelector("button").addEventListener("click", () => show(first));
  stack.querySelector("svg").addEventListener("wheel", (event) => {
    event.preventDefault();
    const place = Number(range.value) + Math.sign(event.deltaY);
    show(Math.min(numbers.length - 1, Math.max(0, place)));
  }, { passive: false });
  stack.querySelector(".control").hidden = false;
  show(first);
}
