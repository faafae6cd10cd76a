// Draws the plots of a page anew, so that one can look into them; their legend filters.
"use strict";

(() => {
  const drawn = new Map();
  const left = new Set();
  const shownAs = {
    money: (value) => `$${value.toLocaleString("en", { maximumFractionDigits: value && value < 1 ? 4 : 2, minimumFractionDigits: value ? 2 : 0 })}`,
    count: (value) => value.toLocaleString("en", { notation: value >= 1e6 ? "compact" : "standard", maximumFractionDigits: 2 }),
    ms: (value) => value >= 1000 ? `${(value / 1000).toLocaleString("en", { maximumFractionDigits: 1 })} s` : `${Math.round(value)} ms`,
    percent: (value) => `${value.toFixed(1)} %`,
  };

  // Colors are those of the style sheet, light or dark as it is now.
  const colorOf = (name, box) => {
    const mark = document.createElement("i");
    mark.className = name;
    box.append(mark);
    const color = getComputedStyle(mark).fill;
    mark.remove();
    return color;
  };
  const tokenOf = (name) => {
    const mark = document.createElement("i");
    mark.className = name;
    document.body.append(mark);
    const color = getComputedStyle(mark).color;
    mark.remove();
    return color;
  };

  const stacked = (series) => {
    const sums = new Array(series[0]?.values.length ?? 0).fill(0);
    return series.map(({ values }) => values.map((value, at) => (sums[at] += value ?? 0)));
  };

  // Days with a value, and none beside them: no line leads through these.
  const alone = (values) => values.flatMap((value, at) =>
    value != null && values[at - 1] == null && values[at + 1] == null ? [at] : []);

  const tip = (plot, series) => {
    const box = document.createElement("div");
    box.className = "tip";
    box.hidden = true;
    plot.over.append(box);
    return ({ cursor }) => {
      const at = cursor.idx;
      box.hidden = at == null || cursor.left < 0;
      if (box.hidden) return;
      const { data } = drawn.get(plot.root.parentElement);
      const show = shownAs[data.unit];
      const lines = series.filter(({ values }) => values[at] != null && (data.kind === "lines" || values[at]))
        .map(({ name, values }) => `${name}: ${show(values[at])}`);
      if (data.kind === "bars" && series.length > 1) {
        lines.unshift(`All: ${show(series.reduce((sum, { values }) => sum + (values[at] ?? 0), 0))}`);
      }
      // Names are what callers chose: they are text, and nothing else.
      box.textContent = [data.periods[at], ...lines].join("\n");
      const isRight = cursor.left > plot.over.clientWidth / 2;
      box.style.transform = `translate(${isRight ? cursor.left - box.offsetWidth - 12 : cursor.left + 12}px, 4px)`;
    };
  };

  const draw = (box) => {
    const data = JSON.parse(box.dataset.plot);
    const series = "filtered" in box.dataset
      ? data.series.filter(({ name }) => !left.has(name)) : data.series;
    drawn.get(box)?.plot?.destroy();
    box.replaceChildren();
    if (!data.periods.length || !series.length) return;
    const isBars = data.kind === "bars";
    const at = data.periods.map((_, number) => number);
    // The largest sums are drawn first, and what they consist of over them.
    const values = isBars ? stacked(series).reverse() : series.map((one) => one.values);
    const inOrder = isBars ? [...series].reverse() : series;
    const ink = tokenOf("plot-ink");
    const line = tokenOf("plot-line");
    const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    let told = () => {};
    const plot = new uPlot({
      width: box.clientWidth,
      height: Math.max(Math.min(box.clientWidth * 0.32, 300), 180),
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: !isBars } },
      scales: { x: { time: false, range: [-0.5, at.length - 0.5] }, y: { range: (_, __, most) => [0, most > 0 ? most * 1.08 : 1] } },
      axes: [
        { ...axis, size: 26, gap: 4, grid: { show: false }, values: (_, splits) => splits.map((one) => data.ticks[one] ?? ""), incrs: [1, 2, 3, 5, 7, 10, 14, 20, 30, 50, 100, 200] },
        { ...axis, size: 62, ...(data.unit !== "money" && { incrs: [1, 2, 5].flatMap((one) => Array.from({ length: 13 }, (_, zeros) => one * 10 ** zeros)).sort((a, b) => a - b) }), values: (_, splits) => splits.map((one) => shownAs[data.unit](one)) },
      ],
      series: [{}, ...inOrder.map(({ name, color, values: own }) => {
        const stroke = colorOf(color, box);
        return isBars
          ? { label: name, fill: stroke, stroke, width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.8, 60] }) }
          : { label: name, stroke, width: 2, points: { size: 6, fill: stroke, filter: (_, __, isShown) => isShown ? null : alone(own) } };
      })],
      hooks: { setCursor: [(one) => told(one)] },
    }, [at, ...values], box);
    drawn.set(box, { plot, data, given: box.dataset.plot });
    told = tip(plot, series);
    const canvas = box.querySelector("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${box.parentElement.querySelector("h2")?.textContent}; the table below has the numbers`);
  };

  const equip = () => {
    for (const item of document.querySelectorAll(".plot-legend li")) {
      if (item.querySelector("button")) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-pressed", String(!left.has(item.dataset.name)));
      button.append(...item.childNodes);
      item.append(button);
    }
  };
  const drawAll = (isAnew) => {
    equip();
    for (const box of drawn.keys()) if (!box.isConnected) drawn.delete(box);
    for (const box of document.querySelectorAll("[data-plot]")) {
      if (isAnew || drawn.get(box)?.given !== box.dataset.plot) draw(box);
    }
  };

  document.addEventListener("click", ({ target }) => {
    const item = target.closest?.(".plot-legend li");
    if (!item) return;
    const { name } = item.dataset;
    if (!left.delete(name)) left.add(name);
    item.querySelector("button").setAttribute("aria-pressed", String(!left.has(name)));
    for (const box of document.querySelectorAll("[data-plot][data-filtered]")) draw(box);
  });
  document.addEventListener("htmx:after:swap", () => drawAll(false));
  for (const media of ["(prefers-color-scheme: dark)", "(forced-colors: active)"]) {
    matchMedia(media).addEventListener("change", () => drawAll(true));
  }
  let width = 0;
  new ResizeObserver(([{ contentRect }]) => {
    if (Math.abs(contentRect.width - width) > 1) {
      width = contentRect.width;
      requestAnimationFrame(() => drawAll(true));
    }
  }).observe(document.getElementById("main"));
})();
