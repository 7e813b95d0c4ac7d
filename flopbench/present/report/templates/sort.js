"use strict";
// A click on a heading sorts its column: smallest first, largest first, as it was. Missing values
// stay last. Headings become buttons only here: without a script nothing pretends to work.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const original = Array.from(body.rows);
  if (original.length < 2) continue;
  const headings = Array.from(table.tHead.rows[0].cells);
  const words = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

  const keyOf = (row, column, numbers) => {
    const cell = row.cells[column];
    const text = cell.textContent.trim();
    if (numbers) return "sort" in cell.dataset ? Number(cell.dataset.sort) : null;
    return text === "" || text === "-" ? null : text;
  };
  const sorted = (column, order) => {
    const numbers = headings[column].classList.contains("right");
    const sign = order === "descending" ? -1 : 1;
    const compare = (a, b) => {
      if (a.key === null || b.key === null) return (a.key === null) - (b.key === null);
      return sign * (numbers ? a.key - b.key : words.compare(a.key, b.key));
    };
    return original
      .map((row) => ({ row, key: keyOf(row, column, numbers) }))
      .sort(compare)
      .map((entry) => entry.row);
  };
  const NEXT = { none: "ascending", ascending: "descending", descending: "none" };

  headings.forEach((heading, column) => {
    if (heading.textContent.trim() === "") return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    heading.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const order = NEXT[heading.getAttribute("aria-sort")];
      for (const other of headings) {
        if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
      }
      heading.setAttribute("aria-sort", order);
      body.append(...(order === "none" ? original : sorted(column, order)));
    });
  });
}

// A table that fits needs no stop of the keyboard.
const boxes = Array.from(document.querySelectorAll(".scroll"));
const settle = () => {
  for (const box of boxes) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
};
addEventListener("resize", settle);
addEventListener("toggle", settle, true);
settle();

// Paper cannot be unfolded.
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
