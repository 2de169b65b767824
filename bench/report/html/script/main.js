// From the payload to the page.

const page = JSON.parse(byId("payload").textContent);
byId("name").append(nameOf(page.name));
buildLeaderboard(page.board);
if (page.streams.plots.length) buildStream(page);

/** The section with the plots: one dataset at a time. */
function buildStream({ board, streams }) {
  byId("stream").hidden = false;
  const frame = byId("plot");
  setAll(frame, { tabindex: "0", role: "group", "aria-label": "Plot. Arrow keys move, plus and minus zoom, 0 shows the whole stream." });
  const state = { frame, plot: streams.plots[0], view: [0, 1], points: 1, log: null, on: new Set(), drawn: null, dragFrom: null };
  let updateLegend = () => {};

  const refresh = () => {
    state.drawn = drawPlot(state);
    logToggle.setAttribute("aria-pressed", String(state.drawn.isLog));
    updateLegend();
    byId("stream-status").textContent = viewText(state);
  };
  const look = (view) => {
    state.view = fitted(state.plot, view);
    refresh();
  };
  const logToggle = button(["Logarithmic"], () => {
    state.log = !state.drawn.isLog;
    refresh();
  });
  const smoothing = choice("Mean over the last", [], (value) => {
    state.points = Number(value);
    refresh();
  });
  const show = (plot) => {
    Object.assign(state, { plot, log: null, view: wholeOf(plot), on: new Set(plot.lines.flatMap((line, i) => (line.on ? [i] : []))) });
    fillSmoothings(smoothing.select, state);
    byId("zooms").replaceChildren(...zoomButtons(state, look));
    byId("stream-caption").textContent = captionOfPlot(plot, streams.left_out);
    updateLegend = buildLegend(state, refresh);
    refresh();
  };
  const datasets = choice("Dataset", streams.plots.map((plot, i) => [i, board.scenarios[plot.scenario]]), (value) => show(streams.plots[value]));
  datasets.select.id = "stream-scenario";
  byId("stream-controls").append(datasets.field, smoothing.field, logToggle);
  byId("legend-sets").append(...legendSets(state, refresh));
  listenToKeys(state, look);
  listenToPointer(state, look);
  show(streams.plots[0]);
  redrawOnResize(state, refresh);
}

/** Lengths of the rolling mean; the usual one is chosen. */
function fillSmoothings(select, state) {
  select.id = "smoothing";
  select.replaceChildren(...state.plot.smoothings.map(({ points, label }) => make("option", { value: points }, label)));
  state.points = (state.plot.smoothings.find(({ is_own: isOwn }) => isOwn) ?? state.plot.smoothings[0]).points;
  select.value = String(state.points);
}

function viewText(state) {
  const [from, to] = state.view.map((place) => placeText(place, state.plot.dates));
  return `${state.plot.dates ? "" : "Time stamps "}${from} to ${to}; numbers in the legend are means over it.`;
}

/** What the plot shows, and what it leaves out. */
function captionOfPlot(plot, leftOut) {
  const said = ["Scaled MSE (lower is better), mean over seeds; drag over the plot to zoom in, double-click to see all."];
  if (plot.drifts.length) said.push("Strokes are known drifts; the shaded band before one holds the forecasts that reach into it, a band behind one lasts until the change is complete.");
  if (plot.estimated.length) said.push("Dotted: change points estimated from the data alone, afterwards; no strategy was told of one.");
  if (plot.stretch > 1) said.push(`Thinned: each point is the mean of ${plural(plot.stretch, "origin")} of ${plot.origins.toLocaleString("en")}.`);
  return [...said, ...leftOut].join(" ");
}

/** Draw again when the plot gets another width. */
function redrawOnResize(state, refresh) {
  let wide = state.frame.clientWidth;
  new ResizeObserver(() => {
    if (state.frame.clientWidth === wide || window.matchMedia("print").matches) return;
    wide = state.frame.clientWidth;
    refresh();
  }).observe(state.frame);
}
