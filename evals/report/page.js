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

for (const button of body.querySelectorAll(".open")) button.addEventListener("click", () => toggle(button));

function details(problem, columns) {
  const cell = make("td", "");
  cell.colSpan = columns;
  const question = make("div", "question", make("h3", "", "Problem"), make("pre", "", problem.prompt));
  if (problem.gold !== null) question.append(make("p", "gold", "Right answer ", make("code", "", problem.gold)));
  const units = make("div", "units", ...problem.units.map(unitCard));
  cell.append(make("div", "inside", question, units));
  return make("tr", "details", cell);
}

function unitCard(unit) {
  const verdict = make("span", `verdict ${unit.verdict}`, { right: "✓ right", wrong: "✗ wrong", none: "– no answer", undecided: "? not decided" }[unit.verdict]);
  const title = make("h3", "", unit.strategy, make("small", "", unit.setting), verdict);
  const facts = [`${unit.thinking.toLocaleString("en")} thinking tokens`, `${unit.calls} call${unit.calls === 1 ? "" : "s"}`, unit.ended_by.replaceAll("_", " ")];
  const card = make("article", "", title, make("p", "answer", answerOf(unit.answer)), make("p", "spent", facts.join(" · ")));
  for (const warning of unit.warnings) card.append(make("p", "warning", warning));
  if (unit.search.trees) {
    card.classList.add("wide");
    card.append(...unit.search.trees.map(searchTree), make("p", "spent", unit.search.note));
  }
  if (unit.trace.length) card.append(traceTree(unit));
  if (unit.text) card.append(make("details", "text", make("summary", "", "Text behind the answer"), make("pre", "", unit.text)));
  return card;
}

// Candidates under the answer that they vote for, then comparisons by pair, then whatever else was noted.
function traceTree(unit) {
  const tree = make("ul", "tree");
  const scores = new Map();
  for (const event of unit.trace) if (event.event === "score") scores.set(event.index, event.score);
  const samples = unit.trace.filter((event) => event.event === "sample");
  const votes = new Map();
  for (const sample of samples) {
    const key = sample.answer === null || sample.answer === undefined ? "" : `=${sample.answer}`;
    votes.set(key, [...(votes.get(key) ?? []), sample]);
  }
  const byVotes = [...votes.values()].sort((a, b) => b.length - a.length);
  for (const group of byVotes) {
    const bar = make("meter", "");
    bar.max = samples.length;
    bar.value = group.length;
    const won = group[0].answer !== null && group[0].answer === unit.answer;
    const count = `${group.length} of ${samples.length}`;
    const said = group[0].answer ?? null;
    const label = answerOf(said === null ? said : short(said));
    const leaves = make("ul", "leaves chips", ...group.map((sample) => sampleLeaf(sample, scores.get(sample.index))));
    tree.append(make("li", won ? "won" : "", make("div", "vote", label, bar, make("small", "", count)), leaves));
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
    if (["sample", "score", "compare"].includes(event.event)) continue;
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
