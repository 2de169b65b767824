// The leaderboard: one table over all datasets, sorted by any column, filtered by name, dataset and group.

const ARROWS = { lower: ["↓", "lower is better"], higher: ["↑", "higher is better"] };
const FAMILIES = { error: "Error", cost: "Cost", sample: "Sample" };

/** Build the leaderboard and its filters. */
function buildLeaderboard(board) {
  const state = { sort: null, rising: true, text: "", scenario: "", group: "", hidden: new Set() };
  const columns = allColumns(board);
  const heads = columns.map((column) => headOf(column, () => sortBy(column)));
  const rows = board.rows.map((row, at) => rowOf(board, columns, row, at));
  const body = make("tbody", {}, ...rows);
  const caption = make("caption", {}, captionOf(board));
  byId("board").append(make("table", { id: "board-table" }, caption, make("thead", {}, make("tr", {}, ...heads)), body));
  buildFilters(board, columns, state, refresh);
  refresh();

  function sortBy(column) {
    state.rising = state.sort === column ? !state.rising : column.better !== "higher";
    state.sort = column;
    const order = sorted(column, state.rising, board.rows.length);
    body.append(...order.map((at) => rows[at]));
    refresh();
  }

  function refresh() {
    let shown = 0;
    let before = null;
    for (const row of body.rows) {
      const at = Number(row.dataset.at);
      row.hidden = !passes(board.rows[at], state);
      if (row.hidden) continue;
      shown += 1;
      const scenario = board.rows[at].scenario;
      row.classList.toggle("first-of-scenario", state.sort === null && before !== null && before !== scenario);
      before = scenario;
    }
    columns.forEach((column, i) => showColumn(column, heads[i], rows, i, state));
    byId("board-status").textContent = statusOf(shown, board.rows.length, state);
  }
}

/** The names in front, the numbers, and the notes behind where there are any. */
function allColumns(board) {
  const text = (key, label, texts) => ({ key, label, unit: "", better: "", family: "", values: texts, texts });
  const scenarios = board.rows.map((row) => board.scenarios[row.scenario]);
  const front = [text("entry", "strategy", board.rows.map((row) => row.entry)), text("scenario", "dataset", scenarios)];
  const notes = board.rows.map((row) => row.notes);
  const behind = notes.some((note) => note !== "") ? [text("notes", "notes", notes)] : [];
  return [...front, ...board.columns.map(prepared), ...behind];
}

/** A column with sets to look rows up in, and numbers that know infinity. */
function prepared(column) {
  const values = column.values.map((value) => (value === "inf" ? Infinity : value));
  return { ...column, values, best: new Set(column.best), second: new Set(column.second) };
}

/** A column's head: a button that sorts. */
function headOf(column, press) {
  const [arrow, meaning] = ARROWS[column.better] ?? ["", ""];
  const children = [column.label];
  if (arrow) children.push(make("span", { "aria-hidden": "true" }, ` ${arrow}`), make("span", { class: "unseen" }, `, ${meaning}`));
  if (column.unit) children.push(make("span", { class: "unit" }, column.unit));
  const kind = column.family === "" ? "text" : null;
  const head = make("th", { scope: "col", class: column.key === "entry" ? "text name" : kind }, button(children, press));
  head.dataset.key = column.key;
  return head;
}

/** One row; its position in the payload stays with it. */
function rowOf(board, columns, row, at) {
  const element = make("tr", {}, ...columns.map((column) => cellOf(board, column, row, at)));
  element.dataset.at = String(at);
  return element;
}

function cellOf(board, column, row, at) {
  if (column.key === "entry") {
    const marks = row.marks.map((mark) => make("span", { class: "mark" }, mark));
    return make("th", { scope: "row", class: "text name" }, nameOf(row.entry), ...marks);
  }
  const text = column.texts[at];
  if (column.family === "") return make("td", { class: "text" }, nameOf(text));
  if (column.intervals.length) return make("td", {}, text, ...intervalOf(board, column, row.scenario, at));
  if (column.best.has(at)) return make("td", {}, make("strong", {}, text));
  return make("td", {}, column.second.has(at) ? make("u", {}, text) : text);
}

/** A row's interval as a bar with a dot, on the scale that the rows of its dataset share; a dashed line at 0. */
function intervalOf(board, column, scenario, at) {
  const ends = column.intervals[at];
  if (ends === null) return [];
  const [low, high] = rangeOf(board, column, scenario);
  const x = (value) => (4 + (112 * (value - low)) / (high - low || 1)).toFixed(1);
  const kind = column.texts[at].endsWith("significant") ? "interval significant" : "interval";
  return [
    draw(
      "svg",
      { class: kind, viewBox: "0 0 120 10", "aria-hidden": "true" },
      draw("line", { class: "zero", x1: x(0), x2: x(0), y1: 0, y2: 10 }),
      draw("line", { class: "bar", x1: x(ends[0]), x2: x(ends[1]), y1: 5, y2: 5 }),
      draw("circle", { class: "dot", cx: x(column.values[at]), cy: 5, r: 3 }),
    ),
  ];
}

/** Lowest and highest end of a dataset's intervals, 0 among them. */
function rangeOf(board, column, scenario) {
  column.ranges ??= new Map();
  if (!column.ranges.has(scenario)) {
    const ends = column.intervals.filter((pair, at) => pair !== null && board.rows[at].scenario === scenario).flat();
    column.ranges.set(scenario, [Math.min(0, ...ends), Math.max(0, ...ends)]);
  }
  return column.ranges.get(scenario);
}

/** Positions of the rows in the order of a column; rows without a number come last, ties stay as they were. */
function sorted(column, rising, rows) {
  const sign = rising ? 1 : -1;
  const order = Array.from({ length: rows }, (_, at) => at);
  const compare = column.family === "" ? (a, b) => a.localeCompare(b, "en") : (a, b) => (a === b ? 0 : a - b);
  return order.sort((one, other) => {
    const [a, b] = [column.values[one], column.values[other]];
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * compare(a, b);
  });
}

function passes(row, state) {
  if (state.scenario !== "" && row.scenario !== Number(state.scenario)) return false;
  if (state.group !== "" && row.group !== Number(state.group)) return false;
  return row.entry.toLocaleLowerCase("en").includes(state.text);
}

/** Mark the column that is sorted by, and hide the columns of families that are not wanted. */
function showColumn(column, head, rows, at, state) {
  if (state.sort === column) head.setAttribute("aria-sort", state.rising ? "ascending" : "descending");
  else head.removeAttribute("aria-sort");
  const hide = state.hidden.has(column.family);
  if (head.hidden === hide) return;
  head.hidden = hide;
  for (const row of rows) row.cells[at].hidden = hide;
}

function captionOf(board) {
  const over = board.scenarios.length > 1 ? `${plural(board.scenarios.length, "dataset")}, ranks within each. ` : "";
  return `${over}Mean ± standard deviation over seeds. Bold: best of those ranked on a dataset; underlined: second.`;
}

function statusOf(shown, rows, state) {
  const what = shown === 0 ? "No row passes the filters." : `${shown.toLocaleString("en")} of ${plural(rows, "row")}.`;
  if (state.sort === null) return `${what} In the order of rank.`;
  return `${what} Sorted by ${state.sort.label}, ${state.rising ? "ascending" : "descending"}.`;
}

/** Search field, drop-downs and buttons above the table. */
function buildFilters(board, columns, state, refresh) {
  const bar = byId("filters");
  const search = make("input", { type: "search", id: "filter-text", autocomplete: "off", spellcheck: "false" });
  search.addEventListener("input", () => {
    state.text = search.value.trim().toLocaleLowerCase("en");
    refresh();
  });
  bar.append(make("label", { class: "field" }, "Strategy contains", search));
  const numbered = (names, all) => [["", all], ...names.map((name, at) => [at, name])];
  const add = (id, label, names, all, key) => {
    const { field, select } = choice(label, numbered(names, all), (value) => {
      state[key] = value;
      refresh();
    });
    select.id = id;
    if (names.length > 1) bar.append(field);
  };
  add("filter-scenario", "Dataset", board.scenarios, "All datasets", "scenario");
  add("filter-group", "Group", board.groups, "All groups", "group");
  const toggles = Object.keys(FAMILIES).filter((family) => columns.some((column) => column.family === family));
  bar.append(...toggles.map((family) => familyToggle(family, state, refresh)));
}

/** A button that shows or hides the columns of a family. */
function familyToggle(family, state, refresh) {
  const toggle = button([`${FAMILIES[family]} columns`], () => {
    const hide = !state.hidden.delete(family);
    if (hide) state.hidden.add(family);
    toggle.setAttribute("aria-pressed", String(!hide));
    refresh();
  });
  return setAll(toggle, { "aria-pressed": "true" });
}
