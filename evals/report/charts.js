// The charts: which points are shown on which axis is chosen here, Vega draws them. A specification holds no text of a
// model or a suite; names and numbers enter as data, and tooltips through textContent alone.
"use strict";

if (data.charts) drawCharts(data.charts, data.specs);

function drawCharts(charts, specs) {
  const chosen = { axis: charts.axis, group: "all", model: charts.models.length > 1 && !charts.axes.find((axis) => axis.name === charts.axis).shared ? charts.models[0] : "", hidden: new Set() };
  const phone = () => document.documentElement.clientWidth <= 720;
  const options = {
    mode: "vega-lite", renderer: "svg", actions: false, defaultStyle: false,
    ast: true, // expressions are interpreted: the policy allows no code that is made of text
    tooltip: (_, event, item, value) => tell(event, value ? item.datum : null),
  };
  const percent = (y) => `${(100 * y).toFixed(1)}%`;
  const number = (x) => (x >= 1e6 || x < 1e-7) && x !== 0 ? x.toPrecision(3) : x.toLocaleString("en", { maximumSignificantDigits: x < 100 ? 3 : 6 });
  const axisOf = () => charts.axes.find((axis) => axis.name === chosen.axis);
  const views = []; // [view, what it shows now, where it stands]

  // -- which points ----------------------------------------------------------------------------------------------------

  function pointsOf(group) {
    const axis = axisOf();
    const model = chosen.model || (axis.shared ? "" : charts.models[0]); // tokens of two models are never on one axis
    const kept = charts.points.map((point, i) => ({ point, i })).filter(({ point }) =>
      point.group === group && !chosen.hidden.has(point.s) && point.cost[axis.name] !== undefined &&
      (!model || charts.series[point.s].model === model));
    const count = new Map();
    for (const { point } of kept) count.set(`${point.s} ${point.run}`, (count.get(`${point.s} ${point.run}`) ?? 0) + 1);
    return kept.map(({ point, i }) => ({
      i, s: point.s, size: charts.series[point.s].size, run: `${point.s} ${point.run}`, x: Math.max(axis.floor, point.cost[axis.name]), y: point.y, low: point.low, high: point.high,
      how: point.how === "prefix" && count.get(`${point.s} ${point.run}`) > 1 ? "prefix" : "explicit",
    })).sort((a, b) => charts.baselines.includes(a.s) - charts.baselines.includes(b.s)); // one sample lies on top
  }

  function frontierOf(rows) {
    const best = [];
    for (const { x, y } of [...rows].sort((a, b) => a.x - b.x || b.y - a.y)) if (!best.length || y > best[best.length - 1].y) best.push({ x, y });
    return best.length > 1 ? best : [];
  }

  // Each line's name beside its end, moved apart where they meet.
  function labelsOf(rows, [low, high], gap) {
    const ends = new Map();
    for (const row of rows) if (!ends.has(row.s) || row.x >= ends.get(row.s).x) ends.set(row.s, row);
    const labels = [...ends.values()].sort((a, b) => a.y - b.y).map((row) => ({ s: row.s, y: row.y, text: `${percent(row.y)}  ${charts.series[row.s].name}` }));
    labels.forEach((label, i) => (label.y = Math.max(label.y, i ? labels[i - 1].y + gap : low)));
    let top = high;
    for (const label of labels.reverse()) {
      label.y = Math.min(label.y, top);
      top = label.y - gap;
    }
    return labels;
  }

  function reachX(rows) {
    const xs = rows.map((row) => row.x);
    const [low, high] = xs.length ? [Math.min(...xs) / 1.25, Math.max(...xs) * 1.25] : [1, 10];
    const middle = Math.sqrt(low * high);
    return [Math.min(low, middle / 2), Math.max(high, middle * 2)];
  }

  function reachY(rows) {
    if (!rows.length) return [0, 1];
    return [Math.max(-0.03, Math.min(...rows.map((row) => row.low)) - 0.04), Math.min(1.05, Math.max(...rows.map((row) => row.high)) + 0.04)];
  }

  function ticksOf([low, high], most) {
    for (const steps of [[1, 2, 5], [1, 3], [1]]) {
      const ticks = [];
      for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
        for (const step of steps) {
          const tick = Number(`${step}e${power}`);
          if (tick >= low && tick <= high) ticks.push(tick);
        }
      }
      if (ticks.length <= most && ticks.length > 1) return ticks;
      if (steps.length === 1) return ticks.filter((_, i) => i % Math.ceil(ticks.length / most) === 0);
    }
    return [];
  }

  // -- drawing ---------------------------------------------------------------------------------------------------------

  // What a chart shows is its signals and its data sets; a chart is made with them, so that no scale is ever empty.
  async function embed(place, spec, height, stateOf) {
    const copy = structuredClone(spec);
    if (height) copy.height = height;
    copy.padding = { left: 4, top: 6, bottom: 6, right: 8 };
    const { signals, sets, rows } = stateOf();
    if (rows !== undefined) copy.height = 28 * Math.max(1, rows);
    copy.datasets = sets;
    for (const param of copy.params) param.value = signals[param.name];
    const { view } = await vegaEmbed(place, copy, options);
    views.push([view, stateOf, place]);
  }

  function redraw(view, { signals, sets, rows }) {
    if (rows !== undefined) view.height(28 * Math.max(1, rows));
    for (const [name, value] of Object.entries(signals)) view.signal(name, value);
    for (const [name, rows] of Object.entries(sets)) view.data(name, rows);
    return view.runAsync();
  }

  function axesOf(rangeX, rangeY, small) {
    const most = small ? 5 : phone() ? 6 : 12;
    const title = small || phone() ? axisOf().unit : `${axisOf().label}, log scale`;
    return { x_low: rangeX[0], x_high: rangeX[1], x_ticks: ticksOf(rangeX, most), x_title: title, y_low: rangeY[0], y_high: rangeY[1] };
  }

  function curves(group, { small = false, rangeX, rangeY } = {}) {
    const points = pointsOf(group);
    const reach = rangeY ?? reachY(points);
    const baseline = charts.baselines.flatMap((s) => points.filter((row) => row.s === s).slice(0, 1)).map(({ y }) => ({ y }));
    const labels = small || phone() ? [] : labelsOf(points, reach, (reach[1] - reach[0]) * (17 / 400));
    return { signals: axesOf(rangeX ?? reachX(points), reach, small), sets: { points, frontier: frontierOf(points), baseline, labels, once: [{}] } };
  }

  // Panels side by side show the same span of accuracy and of cost, each at its own height.
  function panel(group, groups) {
    const all = groups.map((g) => pointsOf(g.key));
    const [low, high] = reachY(pointsOf(group));
    const span = Math.max(...all.map(reachY).map(([a, b]) => b - a));
    const from = Math.min(Math.max(-0.03, (low + high - span) / 2), 1.05 - span);
    return curves(group, { small: true, rangeX: reachX(all.flat()), rangeY: [from, from + span] });
  }

  function share(name) {
    const points = pointsOf(chosen.group).map((row) => ({ ...row, y: charts.points[row.i].shares[name] ?? 0, run_or_series: row.how === "prefix" ? row.run : row.s }));
    const most = Math.max(0.05, ...points.map((row) => row.y));
    return { signals: axesOf(reachX(points), [-0.03 * most, 1.1 * most], true), sets: { points, once: [{}] } };
  }

  function costs() {
    const rows = [];
    const kinds = [];
    const model = chosen.model || charts.models[0]; // bars of tokens are of one model
    charts.points.forEach((point, i) => {
      if (charts.series[point.s].model !== model) return;
      if (point.group !== chosen.group || !point.kinds || chosen.hidden.has(point.s)) return;
      const row = [charts.series[point.s].name, point.setting].filter(Boolean).join(" ");
      const total = Object.values(point.kinds).reduce((a, b) => a + b, 0);
      rows.push({ row, i, tokens: total, text: `${Math.round(total).toLocaleString("en")}${phone() ? "" : ` tokens, ${percent(point.y)} right`}` });
      charts.kinds.forEach((kind, place) => Object.hasOwn(point.kinds, kind) && kinds.push({ row, kind, place, tokens: point.kinds[kind] }));
    });
    const most = Math.max(1, ...rows.map((row) => row.tokens));
    return { signals: { x_high: most * (phone() ? 1.3 : 1.25), row_limit: phone() ? 110 : 230, tick_count: phone() ? 3 : 6 }, sets: { kinds, rows }, rows: rows.length };
  }

  // -- tooltips --------------------------------------------------------------------------------------------------------

  const tip = make("div", "tip");
  tip.hidden = true;
  tip.setAttribute("role", "status");
  document.body.append(tip);

  function tell(event, datum) {
    const point = datum && charts.points[datum.i];
    tip.hidden = !point;
    if (!point) return;
    const facts = [["accuracy", `${percent(point.y)}, 95% interval ${percent(point.low)} to ${percent(point.high)}`], ["problems", String(point.n)]];
    for (const axis of charts.axes) if (point.cost[axis.name] !== undefined) facts.push([axis.unit, number(point.cost[axis.name])]);
    for (const share of charts.shares) facts.push([share.words, percent(point.shares[share.name] ?? 0)]);
    const list = make("dl", "", ...facts.map(([name, value]) => make("div", "", make("dt", "", name), make("dd", "", value))));
    tip.replaceChildren(make("b", "", charts.series[point.s].name, " ", make("small", "", point.setting)), list);
    const [x, y] = [event.clientX ?? 0, event.clientY ?? 0];
    const { width, height } = tip.getBoundingClientRect();
    const page = document.documentElement;
    tip.style.left = `${Math.max(8, Math.min(x + 16, page.clientWidth - width - 8))}px`;
    tip.style.top = `${y + 16 + height > page.clientHeight ? Math.max(8, y - height - 12) : y + 16}px`;
  }
  addEventListener("scroll", () => (tip.hidden = true), { passive: true });

  // -- choosing --------------------------------------------------------------------------------------------------------

  const by = (id) => document.getElementById(id);
  const update = () => Promise.all(views.map(([view, stateOf]) => redraw(view, stateOf())));

  by("axis").addEventListener("change", (event) => {
    chosen.axis = event.target.value;
    update();
  });
  by("group").addEventListener("change", (event) => {
    chosen.group = event.target.value;
    for (const place of document.querySelectorAll(".group-name")) place.textContent = charts.groups.find((g) => g.key === chosen.group).name;
    update();
  });
  by("model")?.addEventListener("change", (event) => {
    chosen.model = event.target.value;
    update();
  });
  for (const button of document.querySelectorAll(".key button")) {
    button.addEventListener("click", () => {
      const s = Number(button.dataset.series);
      if (!chosen.hidden.delete(s)) chosen.hidden.add(s);
      button.setAttribute("aria-pressed", String(!chosen.hidden.has(s)));
      update();
    });
  }

  const panels = by("panels");
  async function showPanels(tag) {
    for (const old of views.filter(([, , place]) => panels.contains(place))) {
      old[0].finalize();
      views.splice(views.indexOf(old), 1);
    }
    const groups = charts.groups.filter((group) => group.tag === tag).slice(0, 24);
    panels.classList.toggle("halves", groups.length === 2 || groups.length === 4);
    const places = groups.map(() => make("div", "chart small"));
    panels.replaceChildren(...groups.map((group, i) => make("div", "panel", make("h3", "", group.name, make("small", "", `${group.n} problem${group.n === 1 ? "" : "s"}`)), places[i])));
    for (const [i, group] of groups.entries()) await embed(places[i], specs.curves, 200, () => panel(group.key, groups));
  }
  by("panels-by")?.addEventListener("change", (event) => showPanels(event.target.value));

  (async () => {
    await embed(by("curves"), specs.curves, phone() ? 300 : 400, () => curves(chosen.group));
    if (panels) await showPanels(by("panels-by").value);
    for (const place of document.querySelectorAll(".share")) await embed(place, specs.shares, 170, () => share(place.dataset.share));
    await embed(by("costs"), specs.costs, null, costs);
    document.documentElement.dataset.charts = "drawn";
  })();
}
