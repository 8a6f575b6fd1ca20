
// -- the tree of a search: steps from left to right, scored, pruned, whole; below it what each wave cost -----------------

const SVG = "http://www.w3.org/2000/svg";
const ROW = 24, PILL = 18, PAD = 8, BARS = 34;
const MARKS = { grown: "", open: "… ", pruned: "× ", whole: "■ ", ended: "□ ", behind: "★ " };
const wordsOf = (tree) => ({
  grown: "gone on from", open: "kept, not gone on from", pruned: "pruned", whole: "whole, with an answer",
  ended: "ended without an answer",
  behind: tree.forced ? "the final answer was forced out of it" : tree.ahead ? "a rollout from it came to the final answer" : "the best one with the final answer",
});

function draw(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// A letter of the page's sans is about 6.4 wide at 11 px, a Chinese one or an emoji twice that.
const wide = (text) => [...text].reduce((sum, sign) => sum + (sign.codePointAt(0) > 0x2e7f ? 12 : 6.4), 0);
const scoreOf = (score) => score.toFixed(2).replace(/^0/, "");
const clip = (text, length) => ([...text].length > length ? `${[...text].slice(0, length - 1).join("")}…` : text);
const line = (text) => text.replace(/\s+/g, " ").trim();

function searchTree(tree) {
  const last = tree.path[tree.path.length - 1];
  const onPath = new Set(tree.path);
  const nodes = tree.nodes.map(([number, parent, column, row, score, spent, state, step, answer, copies, ahead], place) => {
    const seen = place === last ? "behind" : state;
    const short = (text, mark) => (text === undefined || text === null ? "" : ` ${mark}${clip(line(text), 10)}`);
    const said = short(answer, "") || short(ahead, "→ ");
    return { number, parent, column, row, score, spent, state, step, answer: answer ?? null, ahead: ahead ?? null, copies: copies ?? 1, seen, place, label: `${MARKS[seen]}${scoreOf(score)}${said}` };
  });
  // A column is as wide as its widest label.
  const widths = new Array(tree.columns + 1).fill(28);
  widths[0] = 12;
  for (const node of nodes) widths[node.column] = Math.max(widths[node.column], wide(node.label) + 14);
  for (const [, column, , count] of tree.more) widths[column] = Math.max(widths[column], wide(`+${count}`) + 6);
  // Few columns on a wide page stand further apart.
  const room = Math.min(960, document.documentElement.clientWidth - 110);
  const gap = Math.min(72, Math.max(30, (room - widths.reduce((a, b) => a + b)) / tree.columns));
  const lefts = [];
  widths.reduce((x, width, column) => (lefts[column] = x) + width + gap, PAD);
  const width = lefts[tree.columns] + widths[tree.columns] + PAD;
  const bottom = tree.rows * ROW + PAD;
  const middle = (row) => PAD / 2 + (row + 0.5) * ROW;

  const edges = draw("g", { "aria-hidden": "true" });
  const edge = (parent, column, row, className) => {
    const from = parent < 0 ? { column: 0, row: tree.root } : nodes[parent];
    const x = parent < 0 ? lefts[0] + 9 : lefts[from.column] + nodes[parent].width;
    const [y, toX, toY] = [middle(from.row), lefts[column], middle(row)];
    const bend = (toX - x) / 2;
    return draw("path", { class: className, d: `M${x} ${y}C${x + bend} ${y} ${toX - bend} ${toY} ${toX} ${toY}` });
  };
  for (const node of nodes) node.width = wide(node.label) + 14;
  const onTop = [];
  for (const node of nodes) {
    const drawn = edge(node.parent, node.column, node.row, onPath.has(node.place) ? "edge on" : `edge ${node.seen}`);
    if (onPath.has(node.place)) onTop.push(drawn);
    else edges.append(drawn);
  }
  const marks = draw("g", {});
  for (const [parent, column, row, count, words] of tree.more) {
    edges.append(edge(parent, column, row, "edge pruned"));
    marks.append(draw("text", { class: "more", x: lefts[column] + 3, y: middle(row) + 4 }, draw("title", {}, `${count} not drawn: ${words}`), `+${count}`));
  }
  edges.append(...onTop);

  const facts = make("div", "step");
  const tell = (node) => {
    const answer = node.answer === null ? [] : [" · answer ", make("code", "", node.answer)];
    if (node.ahead !== null) answer.push(" · a rollout came to ", make("code", "", node.ahead));
    facts.replaceChildren(make("p", "", make("b", "", `Node ${node.number}`), ` · depth ${node.column} · score ${node.score} · ${tokens(node.spent)} · ${describe(node)}`, ...answer), make("pre", "", node.step || "(blank)"));
  };
  const describe = (node) => wordsOf(tree)[node.seen] + (node.copies > 1 ? ` · drawn ${node.copies} times` : "");

  const svg = draw("svg", { role: "tree", viewBox: `0 0 ${width} ${bottom + BARS + 30}`, width, height: bottom + BARS + 30, "aria-label": `Search tree: ${tree.said} Arrow keys move between nodes.` });
  svg.append(edges, draw("circle", { class: "root", cx: lefts[0] + 5, cy: middle(tree.root), r: 4.5, "aria-hidden": "true" }), marks);
  const shapes = nodes.map((node) => {
    const [x, y] = [lefts[node.column], middle(node.row) - PILL / 2];
    const round = ["whole", "ended", "behind"].includes(node.seen) ? 2 : PILL / 2;
    const name = `Node ${node.number}: score ${node.score}, ${tokens(node.spent)}, ${describe(node)}${node.answer === null ? "" : `, answer ${line(node.answer)}`}${node.ahead === null ? "" : `, a rollout came to ${line(node.ahead)}`}\n${node.step}`;
    const shape = draw("g", { class: `node ${node.seen}${onPath.has(node.place) ? " on" : ""}`, role: "treeitem", tabindex: -1, "aria-level": node.column, "aria-selected": "false" },
      draw("title", {}, name),
      draw("rect", { class: "paper", x, y, width: node.width, height: PILL, rx: round }),
      draw("rect", { class: "bar", x, y, width: node.width * Math.min(1, Math.max(0, node.score)), height: PILL, rx: round }),
      draw("rect", { class: "rim", x, y, width: node.width, height: PILL, rx: round }),
      draw("text", { x: x + 7, y: y + 13 }, node.label));
    shape.addEventListener("pointerenter", () => tell(node));
    shape.addEventListener("pointerleave", () => tell(nodes[current]));
    shape.addEventListener("focus", () => settle(node.place));
    shape.addEventListener("click", () => shape.focus());
    svg.append(shape);
    return shape;
  });

  // One step takes part in the order of the Tab key; from there arrows go to the parent, to the best child, and up and
  // down within a depth.
  let current = last ?? 0;
  function settle(place) {
    for (const [at, to] of [[current, false], [place, true]]) {
      shapes[at].setAttribute("tabindex", to ? 0 : -1);
      shapes[at].setAttribute("aria-selected", String(to));
    }
    current = place;
    tell(nodes[place]);
  }
  svg.addEventListener("keydown", (event) => {
    const here = nodes[current];
    const beside = nodes.filter((node) => node.column === here.column).sort((a, b) => a.row - b.row);
    const next = {
      ArrowLeft: () => nodes[here.parent],
      ArrowRight: () => nodes.filter((node) => node.parent === here.place).sort((a, b) => onPath.has(b.place) - onPath.has(a.place) || a.row - b.row)[0],
      ArrowUp: () => beside[beside.indexOf(here) - 1],
      ArrowDown: () => beside[beside.indexOf(here) + 1],
      Home: () => nodes[0],
      End: () => nodes[last ?? nodes.length - 1],
    }[event.key];
    if (!next) return;
    event.preventDefault();
    const to = next();
    if (to) shapes[to.place].focus();
  });
  if (nodes.length) settle(current);

  svg.append(waveBars(tree, lefts, widths, width, bottom));
  const scroll = make("div", "scroll", svg);
  return make("div", "search", make("h4", "", tree.name ? `Search in ${tree.name}` : "Search"), make("p", "", tree.said), legend(nodes, tree), scroll, facts);
}

// Under its own column where each wave grew the next depth, else side by side.
function waveBars(tree, lefts, widths, width, top) {
  const bars = draw("g", { class: "waves", "aria-hidden": "true" });
  const most = Math.max(1, ...tree.waves.map(([spent]) => spent));
  const room = (width - 2 * PAD) / tree.waves.length;
  const base = top + BARS + 12;
  bars.append(draw("line", { x1: PAD, x2: width - PAD, y1: base, y2: base }));
  let free = 0;
  tree.waves.forEach(([spent, words], i) => {
    const aligned = tree.level && i + 1 < lefts.length;
    const size = aligned ? Math.min(widths[i + 1], 36) : Math.max(1, Math.min(36, room - 2));
    const x = aligned ? lefts[i + 1] : PAD + i * room;
    const height = Math.max(1, (BARS * spent) / most);
    bars.append(draw("rect", { x, y: base - height, width: size, height }, draw("title", {}, `Wave ${i + 1}: ${tokens(spent)}, ${words}`)));
    const label = spent.toLocaleString("en");
    if (x < free || x + wide(label) > width) return;
    bars.append(draw("text", { x, y: base + 13 }, label));
    free = x + wide(label) + 6;
  });
  return bars;
}

function legend(nodes, tree) {
  const seen = new Set(nodes.map((node) => node.seen));
  const words = wordsOf(tree);
  const key = make("ul", "states");
  for (const state of Object.keys(MARKS)) {
    if (!seen.has(state)) continue;
    const round = ["whole", "ended", "behind"].includes(state) ? 2 : 7;
    const mark = draw("svg", { width: 26, height: 16, "aria-hidden": "true" }, draw("g", { class: `node ${state}` }, draw("rect", { class: "rim", x: 1, y: 1, width: 24, height: 14, rx: round }), draw("text", { x: 9, y: 12 }, MARKS[state].trim())));
    key.append(make("li", "", mark, words[state]));
  }
  key.append(make("li", "", "each names its score and is filled up to it; the bars below are the tokens of each wave"));
  return key;
}

openNamed(); // everything is there by now
