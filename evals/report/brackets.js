// Tournaments: a bracket from left to right, round by round, or a table of how all stood with the rounds behind it.
"use strict";

const clipped = (text, length) => ([...text].length > length ? `${[...text].slice(0, length - 1).join("")}…` : text);

function candidateOf(place, answer) {
  const said = answer === null || answer === undefined ? make("em", "", "no answer") : make("code", "", clipped(answer, 18));
  if (answer) said.title = answer;
  return make("span", "candidate", make("small", "", `#${place} `), said);
}

function matchOf([a, answer, b, other, points, played, through]) {
  const lines = [[a, answer, points], [b, other, played - points]].map(([place, said, won]) => {
    const line = make("div", (through === null ? won * 2 > played : place === through) ? "side won" : "side", candidateOf(place, said), make("span", "points", String(won)));
    return line;
  });
  const match = make("div", "match", ...lines);
  if (points * 2 === played) match.append(make("small", "tie", through === null ? "a tie" : "a tie, decided by lot"));
  return match;
}

const standingOf = (standing) => (standing.length ? `still in: ${standing.map(([answer, n]) => `${answer === null ? "no answer" : clipped(answer, 18)}${n > 1 ? ` × ${n}` : ""}`).join(", ")}` : "");

function bracketOf(bracket, answer) {
  const box = make("div", "tournament", make("h4", "", bracket.name ? `Tournament in ${clipped(bracket.name, 40)}` : "Tournament"), make("p", "", bracket.said));
  if (bracket.kind === "table") {
    const body = make("tbody", "", ...bracket.table.map(([place, said, met, won, compared, points]) => {
      const bar = make("meter", "");
      bar.max = compared || 1;
      bar.value = points;
      const share = compared ? `${Math.round((100 * points) / compared)}%` : "";
      const row = make("tr", said !== null && said === answer ? "won" : "", make("td", "", candidateOf(place, said)), make("td", "num", String(met)), make("td", "num", `${points} of ${compared}`), make("td", "bar", bar, make("small", "", share)));
      return row;
    }));
    const head = make("thead", "", make("tr", "", ...["Candidate", "Matches", "Points", "Share"].map((name, i) => make("th", i === 1 || i === 2 ? "num" : "", name))));
    box.append(make("div", "scroll", make("table", "standings", head, body)));
  }
  const rounds = bracket.rounds.filter(([, matches, standing]) => matches.length || standing.length).map(([stage, matches, standing]) =>
    make("div", "round", make("h5", "", `Round ${stage}`), make("div", "matches", ...matches.map((match) => matchOf(match))), standing.length ? make("small", "standing", standingOf(standing)) : ""));
  const strip = make("div", `scroll rounds ${bracket.kind}`, ...rounds);
  strip.tabIndex = 0;
  strip.setAttribute("role", "group");
  strip.setAttribute("aria-label", `Rounds: ${bracket.said}`);
  box.append(bracket.kind === "table" ? make("details", "", make("summary", "", "Round by round"), strip) : strip);
  if (bracket.left_out) box.append(make("p", "", make("em", "", `${bracket.left_out} further matches left out here`)));
  return box;
}
