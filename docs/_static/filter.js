// A box above each long table that hides the rows without the words that are typed. Without scripts the whole table is there.
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("table.filterable").forEach((table) => {
    const rows = [...table.tBodies].flatMap((body) => [...body.rows]);
    const texts = rows.map((row) => row.textContent.toLowerCase());
    const box = document.createElement("input");
    box.type = "search";
    box.className = "filter";
    box.placeholder = `filter ${rows.length} rows`;
    box.setAttribute("aria-label", "show only rows with these words");
    box.addEventListener("input", () => {
      const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
      rows.forEach((row, i) => { row.hidden = !words.every((word) => texts[i].includes(word)); });
    });
    const outer = table.closest(".table-wrapper") || table;
    outer.parentNode.insertBefore(box, outer);
  });
});
