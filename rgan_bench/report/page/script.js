"use strict";
// Everything is there without this script; it sorts, filters, and lets dots lead to their runs.
function sortBy(button, table, index) {
  const head = button.closest("th");
  const up = head.getAttribute("aria-sort") !== "ascending";
  table.querySelectorAll("th[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const body = table.tBodies[0];
  const key = (row) => {
    const cell = row.cells[index];
    if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
    return cell.matches("th") || !/^—|\d/.test(cell.textContent) ? cell.textContent : null;
  };
  const before = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
  const rows = [...body.rows].map((row) => [key(row), row]);
  rows.sort(([a], [b]) => (a === null || b === null ? (a === null) - (b === null) : before(a, b) * (up ? 1 : -1)));
  body.append(...rows.map(([, row]) => row));
}
document.querySelectorAll("table.sortable").forEach((table) => {
  const first = [...table.querySelectorAll("thead th[rowspan]")];
  const last = [...table.tHead.rows[table.tHead.rows.length - 1].cells].filter((head) => !first.includes(head));
  [...first, ...last].forEach((head, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sortBy(button, table, index));
  });
});
const filter = document.getElementById("filter");
if (filter) {
  const rows = [...document.querySelectorAll("#list tbody tr")];
  filter.closest("p").hidden = false;
  filter.addEventListener("input", () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    rows.forEach((row) => {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    });
    document.getElementById("found").textContent = words.length ? `${rows.filter((row) => !row.hidden).length} found` : "";
  });
}
document.addEventListener("click", (event) => {
  const dot = event.target.closest("[data-run]");
  if (dot) location.hash = dot.dataset.run;
});
