// Zoom: by dragging over the plot, by buttons, by keys; and what the pointer reads off the lines.

const LEAST = 6; // pixels that a drag must be long to mean one
const MOST_READ = 12; // lines in the tooltip

/** Keep a view within the stream, and not narrower than a few points. */
function fitted(plot, [low, high]) {
  const [first, last] = [plot.x[0], plot.x.at(-1)];
  const least = Math.min(last - first, (5 * (last - first)) / plot.x.length);
  const wide = Math.min(last - first, Math.max(high - low, least));
  const start = Math.min(last - wide, Math.max(first, low + (high - low - wide) / 2));
  return [start, start + wide];
}

/** The view scaled about its middle and moved, both as shares of its width. */
function changed([low, high], scale, move) {
  const middle = (low + high) / 2 + move * (high - low);
  const half = (scale * (high - low)) / 2;
  return [middle - half, middle + half];
}

/** Buttons to zoom and move, and one for each drift. */
function zoomButtons(state, look) {
  const step = (label, scale, move) => button([label], () => look(changed(state.view, scale, move)));
  const whole = button(["Whole stream"], () => look(wholeOf(state.plot)), { id: "zoom-reset" });
  const drifts = state.plot.drifts.map((drift, i) =>
    button(["Zoom to drift ", String(i + 1), ": ", clipped(drift.name)], () => look([drift.from, drift.to])),
  );
  return [step("Zoom in", 0.5, 0), step("Zoom out", 2, 0), step("Earlier", 1, -0.5), step("Later", 1, 0.5), whole, ...drifts];
}

const wholeOf = (plot) => [plot.x[0], plot.x.at(-1)];

/** Keys, where the plot has the focus: arrows move, + and - zoom, 0 and Escape show the whole stream. */
function listenToKeys(state, look) {
  const actions = {
    ArrowLeft: () => changed(state.view, 1, -0.25),
    ArrowRight: () => changed(state.view, 1, 0.25),
    "+": () => changed(state.view, 0.5, 0),
    "=": () => changed(state.view, 0.5, 0),
    "-": () => changed(state.view, 2, 0),
    0: () => wholeOf(state.plot),
    Escape: () => wholeOf(state.plot),
  };
  state.frame.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(actions, event.key)) return;
    event.preventDefault();
    look(actions[event.key]());
  });
}

/** The pointer: a drag zooms, a double click shows all, a move reads the values. */
function listenToPointer(state, look) {
  const { frame } = state;
  const end = () => {
    state.dragFrom = null;
    clearOverlay(state);
  };
  frame.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !event.target.classList.contains("catch")) return;
    state.dragFrom = placeOf(state, event);
    event.target.setPointerCapture(event.pointerId);
  });
  frame.addEventListener("pointermove", (event) => {
    if (state.dragFrom !== null) brush(state, placeOf(state, event));
    else if (event.target.classList.contains("catch")) readOff(state, placeOf(state, event));
    else clearOverlay(state);
  });
  frame.addEventListener("pointerup", (event) => {
    const from = state.dragFrom;
    const to = from === null ? null : placeOf(state, event);
    end();
    if (to !== null && Math.abs(to - from) >= LEAST) look([Math.min(from, to), Math.max(from, to)].map(state.drawn.x.back));
  });
  frame.addEventListener("pointercancel", end);
  frame.addEventListener("pointerleave", () => state.dragFrom === null && clearOverlay(state));
  frame.addEventListener("dblclick", () => look(wholeOf(state.plot)));
}

/** Where the pointer is along the picture's own x axis, kept within the lines' area. */
function placeOf(state, event) {
  const box = state.drawn.picture.getBoundingClientRect();
  const wide = state.drawn.picture.viewBox.baseVal.width;
  const place = ((event.clientX - box.left) * wide) / box.width;
  return Math.min(wide - MARGIN.right, Math.max(MARGIN.left, place));
}

function clearOverlay(state) {
  state.drawn.picture.querySelector(".overlay").replaceChildren();
  state.frame.querySelector(".tip")?.remove();
}

function brush(state, to) {
  clearOverlay(state);
  const [low, high] = [Math.min(state.dragFrom, to), Math.max(state.dragFrom, to)];
  const area = { class: "brush", x: low, width: high - low, y: MARGIN.top, height: TALL - MARGIN.top - MARGIN.bottom };
  state.drawn.picture.querySelector(".overlay").append(draw("rect", area));
}

/** Show every drawn line's value at the point that is nearest to the pointer, lowest first. */
function readOff(state, place) {
  clearOverlay(state);
  const { plot, drawn } = state;
  const at = nearest(plot.x, drawn.x.back(place));
  const read = drawn.shown.map((line, i) => ({ line, value: drawn.curves[i][at] })).filter(({ value }) => value !== null);
  read.sort((a, b) => a.value - b.value);
  const x = drawn.x(plot.x[at]);
  const dots = read.map(({ line, value }) => colour(draw("circle", { class: "dot", cx: x, cy: drawn.y(value), r: 3 }), line));
  const rule = draw("line", { class: "cursor", x1: x, x2: x, y1: MARGIN.top, y2: TALL - MARGIN.bottom });
  drawn.picture.querySelector(".overlay").append(rule, ...dots);
  showTip(state, tip(state, read, at), x);
}

/** Put the tooltip beside the rule, where there is more room, and within the frame. */
function showTip({ frame, drawn }, box, x) {
  frame.append(box);
  const wide = drawn.picture.viewBox.baseVal.width;
  const [room, own] = [frame.clientWidth, box.offsetWidth];
  const place = (x / wide) * room;
  const wanted = x > wide / 2 ? place - own - 12 : place + 12;
  box.style.left = `${Math.max(4, Math.min(room - own - 4, wanted))}px`;
}

function tip(state, read, at) {
  const rows = read.slice(0, MOST_READ).map(({ line, value }) => make("div", {}, swatch(line), clipped(line.entry), make("span", {}, numberText(value))));
  return make("div", { class: "tip", "aria-hidden": "true" }, make("div", {}, placeText(state.plot.x[at], state.plot.dates)), ...rows);
}
