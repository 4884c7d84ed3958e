(() => {
  "use strict";
  const sets = JSON.parse(document.getElementById("data").textContent).sets;
  const svg = "http://www.w3.org/2000/svg";
  const percent = (value) => (100 * value).toFixed(2);
  const short = (value) => (value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential(2) : String(Number(value.toPrecision(4))));
  const clamp = (value) => Math.min(1, Math.max(0, value));

  // Click a head: sort by its column; click again: the other way round. Cells without a figure stay at the end.
  function sort(table, column, direction) {
    const body = table.tBodies[0];
    const sign = direction === "ascending" ? 1 : -1;
    const rows = Array.from(body.rows, (row) => ({ row, text: row.cells[column].textContent.trim() }));
    rows.sort((a, b) => {
      if (column === 0) return sign * a.text.localeCompare(b.text, "en", { numeric: true });
      const [x, y] = [parseFloat(a.text), parseFloat(b.text)];
      if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y);
      return sign * (x - y);
    });
    body.append(...rows.map((found) => found.row));
    Array.from(table.tHead.rows[0].cells).forEach((head, place) => {
      if (place === column) head.setAttribute("aria-sort", direction);
      else head.removeAttribute("aria-sort");
    });
  }

  function sortable(table) {
    Array.from(table.tHead.rows[0].cells).forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        sort(table, column, head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending");
      });
    });
  }

  function sortAgain(table) {
    const heads = Array.from(table.tHead.rows[0].cells);
    const column = heads.findIndex((head) => head.hasAttribute("aria-sort"));
    if (column >= 0) sort(table, column, heads[column].getAttribute("aria-sort"));
  }

  function draw(group, tag, attributes) {
    const shape = group.firstChild || group.appendChild(document.createElementNS(svg, tag));
    for (const [name, value] of Object.entries(attributes)) shape.setAttribute(name, value);
  }

  for (const set of sets) {
    const id = (name) => document.getElementById(`${name}-${set.number}`);
    const charts = document.querySelector(`[data-set="${set.number}"]`);
    const chart = (kind) => charts.querySelector(`svg[data-kind="${kind}"]`);
    const histograms = Array.from(charts.querySelectorAll('svg[data-kind="histogram"]'));
    const [select, slider, table] = [id("score"), id("threshold-slider"), id("frames")];
    const [left, top, width, height] = set.box;
    const place = (x, y) => ({ cx: left + width * clamp(x), cy: top + height * (1 - clamp(y)), r: 7 });

    function show() {
      const walk = set.walks[select.value];
      const at = Number(slider.value);
      const [threshold, tpr, fpr, precision] = ["threshold", "tpr", "fpr", "precision"].map((key) => walk[key][at]);
      const f1 = precision + tpr > 0 ? (2 * precision * tpr) / (precision + tpr) : 0;
      const texts = { threshold: short(threshold), tpr: percent(tpr), fpr: percent(fpr), precision: percent(precision), f1: percent(f1) };
      for (const [key, text] of Object.entries(texts)) id(key).textContent = text;
      slider.setAttribute("aria-valuetext", `${texts.threshold}: TPR ${texts.tpr} %, FPR ${texts.fpr} %, F1 ${texts.f1} %`);
      draw(chart("Precision-recall").querySelector(".mark"), "circle", place(tpr, precision / set.top));
      draw(chart("ROC").querySelector(".mark"), "circle", place(fpr, tpr));
      const { low, high, log } = set.histograms[select.value];
      const along = log ? (score) => Math.log(Math.max(score, low)) : (score) => score;
      const x = left + width * clamp((along(threshold) - along(low)) / (along(high) - along(low)));
      const shown = histograms.find((found) => found.dataset.score === select.value);
      draw(shown.querySelector(".mark"), "line", { x1: x, x2: x, y1: top, y2: top + height });
    }

    function choose() {
      const walk = set.walks[select.value];
      slider.max = walk.threshold.length - 1;
      slider.value = walk.start;
      for (const found of histograms) found.toggleAttribute("hidden", found.dataset.score !== select.value);
      for (const line of charts.querySelectorAll("polyline, svg > circle")) {
        line.classList.toggle("faded", line.dataset.score !== select.value);
      }
      id("of").textContent = select.value;
      for (const row of table.tBodies[0].rows) {
        const figures = set.frames[select.value][Number(row.dataset.place)];
        set.metrics.forEach((_, column) => {
          row.cells[column + 2].textContent = figures === null ? "-" : percent(figures[column]);
        });
      }
      sortAgain(table);
      show();
    }

    slider.addEventListener("input", show);
    select.addEventListener("change", choose);
    for (const where of ["start", "best"]) {
      id(where).addEventListener("click", () => {
        slider.value = set.walks[select.value][where];
        show();
      });
    }
    for (const hidden of document.querySelectorAll(`[data-controls="${set.number}"]`)) hidden.hidden = false;
    sortable(table);
    choose();
  }
})();
