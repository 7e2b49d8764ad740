"use strict";
// Sort and filter the tables of rows, and open long texts. Without JavaScript all rows are there.
for (const filters of document.querySelectorAll(".filters")) {
  const table = document.getElementById(filters.dataset.for);
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const [search, label] = [filters.querySelector("input"), filters.querySelector("select")];
  const count = filters.querySelector("output");
  const words = rows.map((row) => row.cells[row.cells.length - 1].textContent.toLowerCase());

  const filter = () => {
    const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    rows.forEach((row, number) => {
      const hit = (!label.value || row.cells[1].textContent === label.value)
        && wanted.every((word) => words[number].includes(word));
      row.hidden = !hit;
      left += hit;
    });
    count.textContent = left === rows.length ? `${left} rows` : `${left} of ${rows.length} rows`;
  };
  search.addEventListener("input", filter);
  label.addEventListener("change", filter);
  filters.hidden = false;

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
      const sorted = [...rows].sort((a, b) => compare(value(a), value(b)) * (up ? 1 : -1));
      body.append(...sorted);
    });
  });
}
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
