// The leaderboard: one table over all datasets, sorted by any column, filtered by name, dataset and group.

const ARROWS = { lower: ["↓", "lower is better"], higher: ["↑", "higher is better"] };
const MOST_ROWS = 300; // at first: a table of thousands is slow to lay out
const collator = new Intl.Collator("en", { numeric: true });
const FAMILIES = { error: "Error", cost: "Cost", sample: "Sample" };

/** Build the leaderboard and its filters. */
function buildLeaderboard(board) {
  const state = { sort: null, rising: true, text: "", scenario: "", group: "", most: MOST_ROWS };
  const columns = allColumns(board);
  const heads = columns.map((column) => headOf(column, () => sortBy(column)));
  const rows = new Map(); // by position; made when they are first shown
  const body = make("tbody");
  const caption = make("caption", {}, make("span", {}, captionOf(board)));
  const table = make("table", { id: "board-table" }, caption, make("thead", {}, make("tr", {}, ...heads)), body);
  const more = button(["Show all rows"], showAll, { id: "more-rows" });
  byId("board").append(table);
  byId("board").after(more);
  buildFilters(board, columns, state, refresh, (family, hide) => table.classList.toggle(`without-${family}`, hide));
  window.addEventListener("beforeprint", () => fill(orderOf(board, state))); // paper has all rows
  window.addEventListener("afterprint", () => refresh());
  refresh();

  function showAll() {
    state.most = Infinity;
    refresh();
    byId("board").focus();
  }

  function sortBy(column) {
    state.rising = state.sort === column ? !state.rising : column.better !== "higher";
    state.sort = column;
    refresh();
  }

  /** Put these rows into the table, in this order. */
  function fill(order) {
    for (const at of order) if (!rows.has(at)) rows.set(at, rowOf(board, columns, board.rows[at], at));
    order.forEach((at, i) => {
      const begins = i > 0 && state.sort === null && board.rows[at].scenario !== board.rows[order[i - 1]].scenario;
      rows.get(at).classList.toggle("first-of-scenario", begins);
    });
    body.replaceChildren(...order.map((at) => rows.get(at)));
  }

  /** Bring the table up to date with what is asked for. */
  function refresh() {
    const order = orderOf(board, state).filter((at) => passes(board.rows[at], state));
    fill(order.slice(0, state.most));
    columns.forEach((column, i) => markSorted(heads[i], column, state));
    more.hidden = order.length <= state.most;
    byId("board-status").textContent = statusOf(order.length, board.rows.length, state);
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
  const label = make("span", {}, column.label);
  const children = [label];
  if (arrow) label.append(make("span", { "aria-hidden": "true" }, `\u00a0${arrow}`), make("span", { class: "unseen" }, `, ${meaning}`));
  if (column.unit) children.push(make("span", { class: "unit" }, column.unit));
  const kind = column.family === "" ? "text" : column.family;
  // browsers repeat a table's head on each sheet of paper only where it holds no button
  const onPaper = make("span", { class: "on-paper" }, ...children.map((child) => child.cloneNode(true)));
  const head = make("th", { scope: "col", class: column.key === "entry" ? "text name" : kind }, button(children, press), onPaper);
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
  const cell = make("td", { class: column.family });
  if (column.best.has(at)) cell.append(make("strong", {}, text));
  else cell.append(column.second.has(at) ? make("u", {}, text) : text);
  if (column.intervals.length) {
    cell.replaceChildren(make("div", { class: "drawn" }, ...intervalOf(board, column, row.scenario, at), make("span", {}, text)));
  }
  return cell;
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

/** Positions of the rows as they are sorted; rows without a number come last, ties stay as they were. */
function orderOf(board, { sort, rising }) {
  const order = board.rows.map((_, at) => at);
  if (sort === null) return order;
  const sign = rising ? 1 : -1;
  const compare = sort.family === "" ? collator.compare : (a, b) => (a === b ? 0 : a - b);
  return order.sort((one, other) => {
    const [a, b] = [sort.values[one], sort.values[other]];
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * compare(a, b);
  });
}

function passes(row, state) {
  if (state.scenario !== "" && row.scenario !== Number(state.scenario)) return false;
  if (state.group !== "" && row.group !== Number(state.group)) return false;
  return row.entry.toLocaleLowerCase("en").includes(state.text);
}

/** Say on a column's head whether the rows are sorted by it. */
function markSorted(head, column, state) {
  if (state.sort === column) head.setAttribute("aria-sort", state.rising ? "ascending" : "descending");
  else head.removeAttribute("aria-sort");
}

function captionOf(board) {
  const over = board.scenarios.length > 1 ? `${plural(board.scenarios.length, "dataset")}, ranks within each. ` : "";
  return `${over}Mean ± standard deviation over seeds. Bold: best of those ranked on a dataset; underlined: second.`;
}

function statusOf(passing, rows, state) {
  let what = passing === 0 ? "No row passes the filters." : `${passing.toLocaleString("en")} of ${plural(rows, "row")}.`;
  if (passing > state.most) what += ` Shown are the first ${state.most}.`;
  if (state.sort === null) return `${what} In the order of rank.`;
  return `${what} Sorted by ${state.sort.label}, ${state.rising ? "ascending" : "descending"}.`;
}

/** Search field, drop-downs and buttons above the table. */
function buildFilters(board, columns, state, refresh, hideFamily) {
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
  bar.append(...toggles.map((family) => familyToggle(family, hideFamily)));
}

/** A button that shows or hides the columns of a family. */
function familyToggle(family, hideFamily) {
  const toggle = button([`${FAMILIES[family]} columns`], () => {
    const hide = toggle.getAttribute("aria-pressed") === "true";
    toggle.setAttribute("aria-pressed", String(!hide));
    hideFamily(family, hide);
  });
  return setAll(toggle, { "aria-pressed": "true" });
}
