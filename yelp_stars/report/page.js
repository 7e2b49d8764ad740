"use strict";
// Sort and filter the tables of rows, and open long texts. Without JavaScript all rows are there.
const FIRST = 25; // rows to show before a reader asks for all
const textOf = (row, column) => row.querySelector(`[data-column="${column}"]`).textContent;
const counted = (rows) => `${rows} ${rows === 1 ? "row" : "rows"}`;
// Before rows are hidden: those have no height.
for (const text of document.querySelectorAll(".text")) {
  if (text.scrollHeight <= text.clientHeight + 2) continue;
  text.classList.add("long");
  text.tabIndex = 0;
  text.setAttribute("role", "button");
  text.setAttribute("aria-expanded", "false");
  const toggle = () => text.setAttribute("aria-expanded", String(text.classList.toggle("open")));
  text.addEventListener("click", toggle);
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    toggle();
  });
}
for (const filters of document.querySelectorAll(".filters")) {
  const table = document.getElementById(filters.dataset.for);
  const more = document.querySelector(`.more[data-for="${filters.dataset.for}"]`);
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const [search, label] = [filters.querySelector("input"), filters.querySelector("select")];
  const count = filters.querySelector("output");
  const words = new Map(rows.map((row) => [
    row, `${textOf(row, "flags")} ${textOf(row, "text")}`.toLowerCase(),
  ]));
  let most = FIRST;

  const show = () => {
    const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let hits = 0;
    for (const row of body.rows) {
      const hit = (!label.value || textOf(row, "label") === label.value)
        && wanted.every((word) => words.get(row).includes(word));
      hits += hit;
      row.hidden = !hit || hits > most;
    }
    count.textContent = `${hits === rows.length ? "" : `${hits} of `}${counted(rows.length)}`;
    more.textContent = `Show all ${counted(hits)}`;
    more.hidden = hits <= most;
  };
  search.addEventListener("input", show);
  label.addEventListener("change", show);
  more.addEventListener("click", () => {
    most = rows.length;
    show();
  });
  filters.hidden = false;
  show();

  [...table.tHead.rows[0].cells].forEach((head, column) => {
    if (!head.dataset.sort) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const value = (row) => {
        const text = row.cells[column].textContent;
        return head.dataset.sort === "number" ? Number(text) : text;
      };
      const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
      body.append(...[...rows].sort((a, b) => compare(value(a), value(b)) * (up ? 1 : -1)));
      show();
    });
  });
}
