"use strict";
for (const heading of document.querySelectorAll("th.sortable")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = heading.textContent;
  heading.replaceChildren(button);
  button.addEventListener("click", () => {
    const falls = heading.getAttribute("aria-sort") !== "descending";
    const column = heading.cellIndex;
    const body = heading.closest("table").tBodies[0];
    const value = (row) => Number(row.cells[column].dataset.value);
    const rows = [...body.rows].sort((a, b) => (falls ? value(b) - value(a) : value(a) - value(b)));
    for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", falls ? "descending" : "ascending");
    body.replaceChildren(...rows);
  });
}
