// The table of problems: sorting, filtering, and a view of what each strategy did. Whatever a model wrote enters the
// page through textContent alone. Every row is in the page already; this only moves, hides and opens rows.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const table = document.getElementById("table");
const body = table.tBodies[0];
const rows = [...body.rows];

function make(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

const tokens = (n) => `${n.toLocaleString("en")} token${n === 1 ? "" : "s"}`;
const short = (text) => (text.length > 48 ? `${text.slice(0, 47)}…` : text);
const answerOf = (answer) =>
  answer === null || answer === undefined ? make("em", "", "no answer") : make("code", "", answer);

// -- sorting: a button in each heading; a second press turns the order round -------------------------------------------

function sortBy(button) {
  const heading = button.parentElement;
  const column = Number(button.dataset.column);
  const order = heading.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", order);
  closeAll();
  const sign = order === "ascending" ? 1 : -1;
  const value = (row) => row.cells[column].dataset.value;
  const numeric = rows.every((row) => value(row) !== "" && !Number.isNaN(Number(value(row))));
  rows.sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    const difference = numeric ? Number(x) - Number(y) : x.localeCompare(y, "en", { numeric: true });
    return sign * difference || Number(a.dataset.row) - Number(b.dataset.row);
  });
  body.append(...rows);
}

for (const button of table.tHead.querySelectorAll("button")) button.addEventListener("click", () => sortBy(button));

// -- filtering ---------------------------------------------------------------------------------------------------------

const find = document.getElementById("find");
const show = document.getElementById("show");

function filter() {
  closeAll();
  const words = find.value.toLowerCase();
  let shown = 0;
  for (const row of rows) {
    const kept = row.textContent.toLowerCase().includes(words) &&
      (!show.value || row.dataset.group.split(" ").includes(show.value));
    row.hidden = !kept;
    shown += kept;
  }
  document.getElementById("count").textContent = `${shown} of ${rows.length}`;
}

find.form.addEventListener("submit", (event) => event.preventDefault());
find.addEventListener("input", filter);
show.addEventListener("change", filter);
filter();

// -- what each strategy did on one problem -----------------------------------------------------------------------------

function closeAll() {
  for (const open of body.querySelectorAll("tr.details")) {
    open.previousElementSibling?.querySelector(".open")?.setAttribute("aria-expanded", "false");
    open.remove();
  }
}

function toggle(button) {
  const row = button.closest("tr");
  const opened = button.getAttribute("aria-expanded") === "true";
  button.setAttribute("aria-expanded", String(!opened));
  if (opened) row.nextElementSibling.remove();
  else row.after(details(data.problems[Number(row.dataset.row)], row.cells.length));
}

for (const button of body.querySelectorAll("button.open")) button.addEventListener("click", () => toggle(button));

// An address that ends in #r12 opens that row.
function openNamed() {
  const row = /^#r\d+$/.test(location.hash) ? document.getElementById(location.hash.slice(1)) : null;
  const button = row?.querySelector("button.open");
  if (!button) return;
  if (button.getAttribute("aria-expanded") !== "true") toggle(button);
  row.scrollIntoView({ block: "start" });
  button.focus({ preventScroll: true });
}
addEventListener("hashchange", openNamed);

function details(problem, columns) {
  const cell = make("td", "");
  cell.colSpan = columns;
  const question = make("div", "question", make("h3", "", "Problem"), make("pre", "", problem.prompt));
  if (problem.gold !== null) question.append(make("p", "gold", "Right answer ", make("code", "", problem.gold)));
  if (problem.href) {
    const link = make("a", "", "All that is kept of this problem");
    link.href = problem.href;
    question.append(make("p", "gold", link));
  }
  const units = make("div", "units", ...problem.units.map(unitCard));
  cell.append(make("div", "inside", question, units));
  return make("tr", "details", cell);
}

function unitCard(unit) {
  const verdict = make("span", `verdict ${unit.verdict}`, { right: "✓ right", wrong: "✗ wrong", none: "– no answer", undecided: "? not decided" }[unit.verdict]);
  const title = make("h3", "", unit.strategy, make("small", "", unit.setting), verdict);
  const facts = [`${unit.thinking.toLocaleString("en")} thinking tokens`, `${unit.calls} call${unit.calls === 1 ? "" : "s"}`, unit.ended_by.replaceAll("_", " ")];
  const card = make("article", "", title, make("p", "answer", answerOf(unit.answer)), make("p", "spent", facts.join(" · ")));
  const kinds = Object.entries(unit.kinds);
  if (kinds.length > 1) card.append(make("p", "spent", kinds.map(([kind, [calls, spent]]) => `${kind}: ${calls.toLocaleString("en")} call${calls === 1 ? "" : "s"}, ${tokens(spent)}`).join(" · ")));
  for (const warning of unit.warnings) card.append(make("p", "warning", warning));
  if (unit.search.trees) {
    card.classList.add("wide");
    card.append(...unit.search.trees.map(searchTree), make("p", "spent", unit.search.note));
  }
  if (unit.trace.length) card.append(traceTree(unit));
  for (const bracket of unit.brackets) {
    if (bracket.rounds.length > 2 || bracket.kind === "table") card.classList.add("wide");
    card.append(bracketOf(bracket, unit.answer));
  }
  if (unit.text) card.append(make("details", "text", make("summary", "", "Text behind the answer"), make("pre", "", unit.text)));
  return card;
}

// Candidates under the answer that they vote for, then comparisons by pair, then whatever else was noted.
function traceTree(unit) {
  const tree = make("ul", "tree");
  const scores = new Map();
  for (const event of unit.trace) if (event.event === "score") scores.set(event.index, event.score);
  const samples = unit.trace.filter((event) => event.event === "sample");
  // The strategy's own count knows which spellings are one answer; without one, equal texts are.
  const groups = new Map();
  for (const sample of samples) {
    const key = sample.answer ?? null;
    groups.set(key, [...(groups.get(key) ?? []), sample]);
  }
  const counts = unit.trace.filter((event) => event.event === "vote" && Array.isArray(event.classes));
  const counted = counts.length === 1 && counts[0].classes.every((c) => Array.isArray(c) && c.length >= 2) ? counts[0].classes : [];
  const lines = counted.map(([answer, n, weight]) => ({ answer, n, weight, members: groups.get(answer) ?? [] }));
  const told = new Set(counted.map(([answer]) => answer));
  const rest = [...groups].filter(([answer]) => !told.has(answer)).sort((a, b) => (a[0] === null) - (b[0] === null) || b[1].length - a[1].length);
  for (const [answer, members] of rest) lines.push({ answer, n: counted.length && answer !== null ? 0 : members.length, members });
  const weighted = counted.some(([, n, weight]) => typeof weight === "number" && weight !== n);
  const most = weighted ? counted.reduce((sum, [, , weight]) => sum + weight, 0) : samples.length;
  for (const { answer, n, weight, members } of lines) {
    const bar = make("meter", "");
    bar.max = most || 1;
    bar.value = weighted ? weight ?? 0 : n;
    const won = answer !== null && answer === unit.answer;
    const said = counted.length && answer !== null && !told.has(answer) ? "counted with one above" : `${n} of ${samples.length}${weighted && weight !== undefined ? `, weight ${weight}` : ""}`;
    const leaves = make("ul", "leaves chips", ...members.map((sample) => sampleLeaf(sample, scores.get(sample.index))));
    tree.append(make("li", won ? "won" : "", make("div", "vote", answerOf(answer === null ? null : short(answer)), bar, make("small", "", said)), leaves));
  }
  const pairs = new Map();
  for (const event of unit.trace) {
    if (event.event !== "compare") continue;
    const [low, high] = [Math.min(event.a, event.b), Math.max(event.a, event.b)];
    const met = pairs.get(`${low} ${high}`) ?? { low, high, won: [] };
    met.won.push(event.a === low ? event.won : 1 - event.won);
    pairs.set(`${low} ${high}`, met);
  }
  if (pairs.size) {
    const list = make("ul", "leaves", ...[...pairs.values()].map((pair) => {
      const share = pair.won.reduce((a, b) => a + b, 0);
      const result = share * 2 === pair.won.length ? "a tie" : `#${share * 2 > pair.won.length ? pair.low : pair.high} preferred`;
      return make("li", "", `#${pair.low} or #${pair.high}: ${result}`, make("small", "", `${share} to ${pair.won.length - share}`));
    }));
    tree.append(make("li", "", "comparisons", list));
  }
  for (const event of unit.trace) {
    if (["sample", "score", "compare"].includes(event.event) || (counted.length && event === counts[0])) continue;
    const { event: name, tokens: at, ...rest } = event;
    const said = rest.said ? [rest.said] : Object.entries(rest).map(([key, value]) => `${key === name ? "" : `${key} `}${inWords(value)}`);
    tree.append(make("li", "", make("b", "", name), said.length ? `: ${said.join(", ")}` : "", make("small", "", at === undefined ? "" : `at ${tokens(at)}`)));
  }
  if (unit.left_out) tree.append(make("li", "", make("em", "", `${unit.left_out} further events left out of this page`)));
  return tree;
}

// Plain data for reading: [["42", 6], ["41", 2]] is "42: 6, 41: 2".
function inWords(value) {
  if (Array.isArray(value)) {
    const pair = value.length === 2 && typeof value[0] === "string" && typeof value[1] === "number";
    return pair ? `${short(value[0])}: ${value[1]}` : value.map(inWords).join(", ") || "none";
  }
  if (value === null) return "none";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function sampleLeaf(sample, score) {
  const marks = [`#${sample.index}`, `${sample.generated} tok`];
  if (sample.kind && sample.kind !== "generate") marks.push(sample.kind);
  if (sample.finish && sample.finish !== "stop") marks.push(sample.finish);
  if (sample.forced) marks.push("forced");
  if (typeof score === "number") marks.push(`score ${score.toFixed(2)}`);
  if (sample.error) marks.push(sample.error);
  return make("li", "", marks.join(" · "));
}
