// The plot of one dataset: axes, drifts and lines within the view, drawn anew whenever something changes.

const TALL = 380;
const MARGIN = { left: 56, right: 14, top: 30, bottom: 30 };
const LOG_FROM = 8; // ratio of the highest to the lowest value from which a logarithmic axis reads better
const LETTER = 6.4; // width of a letter of a drift's name, about

/** Draw the state's plot into its frame; returns the scales, which the pointer needs. */
function drawPlot(state) {
  const { plot, frame } = state;
  const wide = Math.max(280, Math.round(frame.clientWidth || 900));
  const shown = plot.lines.filter((_, i) => state.on.has(i));
  const curves = shown.map((line) => curveOf(state, line));
  const range = within(plot.x, state.view);
  const x = linear(state.view[0], state.view[1], MARGIN.left, wide - MARGIN.right);
  const isLog = usesLog(state, extent(curves, range));
  const y = heightScale(extent(curves, range), isLog);
  const picture = draw("svg", { viewBox: `0 0 ${wide} ${TALL}`, role: "img", "aria-label": describe(state, shown) });
  picture.append(
    inside(wide),
    bands(plot, x, wide),
    yAxis(y, isLog, wide),
    xAxis(plot, state.view, x, wide),
    flags(plot, x, wide),
    linesOf(shown, curves, plot, range, x, y),
    draw("g", { class: "overlay" }),
    draw("rect", { class: "catch", x: MARGIN.left, y: MARGIN.top, width: x(state.view[1]) - MARGIN.left, height: TALL - MARGIN.top - MARGIN.bottom }),
  );
  frame.replaceChildren(picture);
  return { picture, x, y, shown, curves, isLog };
}

/** The rolling mean that is asked for, kept until another is. */
function curveOf(state, line) {
  line.curves ??= new Map();
  if (!line.curves.has(state.points)) line.curves.set(state.points, rolling(line.y, state.points));
  return line.curves.get(state.points);
}

/** Whether the y axis is logarithmic: as chosen, else where the values ask for it; never where one is 0. */
function usesLog(state, range) {
  if (range === null || range[0] <= 0) return false;
  return state.log ?? range[1] / range[0] > LOG_FROM;
}

function heightScale(range, isLog) {
  const [bottom, top] = [TALL - MARGIN.bottom, MARGIN.top];
  if (range === null) return Object.assign(linear(0, 1, bottom, top), { ends: [0, 1] });
  if (isLog) {
    const ends = [range[0] / 1.08, range[1] * 1.08];
    return Object.assign(logarithmic(...ends, bottom, top), { ends });
  }
  const spare = 0.06 * (range[1] - range[0] || range[1] || 1);
  const ends = [Math.max(0, range[0] - spare), range[1] + spare];
  return Object.assign(linear(...ends, bottom, top), { ends });
}

/** The area that lines are cut to. */
function inside(wide) {
  const area = { x: MARGIN.left, y: MARGIN.top - 4, width: wide - MARGIN.left - MARGIN.right, height: TALL - MARGIN.top - MARGIN.bottom + 8 };
  return draw("clipPath", { id: "inside" }, draw("rect", area));
}

function yAxis(y, isLog, wide) {
  const ticks = isLog ? logTicks(...y.ends) : roundTicks(...y.ends, 5);
  const lines = ticks.flatMap((tick) => [
    draw("line", { class: "grid", x1: MARGIN.left, x2: wide - MARGIN.right, y1: y(tick), y2: y(tick) }),
    draw("text", { x: MARGIN.left - 8, y: y(tick) + 4, "text-anchor": "end" }, numberText(tick, true)),
  ]);
  return draw("g", {}, ...lines, draw("text", { x: 4, y: 14 }, isLog ? "MSE, log" : "MSE"));
}

function xAxis(plot, view, x, wide) {
  const floor = TALL - MARGIN.bottom;
  const wanted = Math.max(2, Math.floor((wide - MARGIN.left - MARGIN.right) / 115));
  const ticks = plot.dates ? dateTicks(...view, wanted) : roundTicks(...view, wanted).map((at) => [at, placeText(at, false)]);
  const marks = ticks.flatMap(([at, label]) => [
    draw("line", { class: "axis", x1: x(at), x2: x(at), y1: floor, y2: floor + 5 }),
    draw("text", { x: x(at), y: floor + 19, "text-anchor": endOf(x(at), wide) }, label),
  ]);
  return draw("g", {}, draw("line", { class: "axis", x1: MARGIN.left, x2: wide - MARGIN.right, y1: floor, y2: floor }), ...marks);
}

/** Where a label is anchored so that it stays within the picture. */
function endOf(place, wide) {
  if (place > wide - 45) return "end";
  return place < 30 ? "start" : "middle";
}

/** Each drift's band and stroke; dotted strokes where a change was estimated. */
function bands(plot, x, wide) {
  const [left, right] = [MARGIN.left, wide - MARGIN.right];
  const cut = (place) => Math.min(right, Math.max(left, x(place)));
  const marks = [];
  const upright = (kind, at) => {
    if (x(at) < left - 0.5 || x(at) > right + 0.5) return;
    marks.push(draw("line", { class: kind, x1: x(at), x2: x(at), y1: MARGIN.top - 4, y2: TALL - MARGIN.bottom }));
  };
  for (const drift of plot.drifts) {
    const [from, to] = [cut(drift.begin), cut(drift.end)];
    marks.push(draw("rect", { class: "band", x: from, y: MARGIN.top, width: Math.max(0, to - from), height: TALL - MARGIN.top - MARGIN.bottom }));
    upright("drift", drift.at);
  }
  plot.estimated.forEach((at) => upright("estimated", at));
  return draw("g", {}, ...marks);
}

/** Numbers of the drifts above the plot, with their names where there is room for them. */
function flags(plot, x, wide) {
  const right = wide - MARGIN.right;
  const seen = plot.drifts.map((drift, i) => ({ drift, i })).filter(({ drift }) => x(drift.at) >= MARGIN.left - 1 && x(drift.at) <= right + 1);
  const group = draw("g");
  let free = MARGIN.left + 40;
  seen.forEach(({ drift, i }, k) => {
    const start = x(drift.at);
    const end = k + 1 < seen.length ? x(seen[k + 1].drift.at) : wide;
    const name = `${i + 1} \u2068${drift.name}\u2069`; // isolated, whatever its direction
    const text = name.length * LETTER < end - start - 6 ? name : String(i + 1);
    if (start - 4 < free && start > MARGIN.left + 40) return;
    const atEnd = start + text.length * LETTER > wide;
    group.append(draw("text", { class: "flag", x: start, y: MARGIN.top - 10, "text-anchor": atEnd ? "end" : "start" }, text));
    free = start + text.length * LETTER + 4;
  });
  return group;
}

function linesOf(shown, curves, plot, range, x, y) {
  const paths = shown.map((line, i) => {
    const path = draw("path", { class: "line", d: pathOf(plot.x, curves[i], range, x, y), "stroke-dasharray": line.dash || null });
    path.dataset.line = String(plot.lines.indexOf(line));
    return colour(path, line);
  });
  return draw("g", { "clip-path": "url(#inside)" }, ...paths.reverse()); // the best on top
}

/** What the picture shows, in a sentence. */
function describe(state, shown) {
  const { plot, view } = state;
  const [from, to] = view.map((place) => placeText(place, plot.dates));
  return `Scaled MSE of ${shown.length === 1 ? "1 strategy" : `${shown.length} strategies`} from ${from} to ${to}, ${plural(plot.drifts.length, "known drift")} marked. The legend holds each one's mean.`;
}
