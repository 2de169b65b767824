// The legend: a button for each strategy draws or hides its line, and says its mean error within the view.

/** Make the buttons of a plot; `refresh` redraws. Returns a function that brings their texts up to date. */
function buildLegend(state, refresh) {
  const { plot } = state;
  const entries = plot.lines.map((line, i) => legendEntry(state, line, i, refresh));
  byId("legend").replaceChildren(...entries.map(({ toggle }) => toggle));
  return () => {
    entries.forEach(({ toggle, value }, i) => {
      toggle.setAttribute("aria-pressed", String(state.on.has(i)));
      value.textContent = numberText(meanWithin(plot, plot.lines[i], state.view));
    });
  };
}

function legendEntry(state, line, i, refresh) {
  const value = make("span", { class: "value" });
  const toggle = button([swatch(line), clipped(line.entry), value], () => {
    if (!state.on.delete(i)) state.on.add(i);
    refresh();
    lift(state, i);
  });
  for (const event of ["pointerenter", "focus"]) toggle.addEventListener(event, () => lift(state, i));
  for (const event of ["pointerleave", "blur"]) toggle.addEventListener(event, () => lift(state, null));
  return { toggle, value };
}

/** Let one line stand out from the others; null puts all back. */
function lift(state, i) {
  state.frame.classList.toggle("lifting", i !== null && state.on.has(i));
  for (const path of state.frame.querySelectorAll(".line")) {
    const isIt = i !== null && path.dataset.line === String(i);
    path.classList.toggle("lifted", isIt);
    if (isIt) path.parentNode.append(path);
  }
}

/** Buttons that draw all lines, none, or those of the report's figure. */
function legendSets(state, refresh) {
  const set = (label, wanted) =>
    button([label], () => {
      state.on = new Set(state.plot.lines.flatMap((line, i) => (wanted(line) ? [i] : [])));
      refresh();
    });
  return [set("Best lines", (line) => line.on), set("All lines", () => true), set("No lines", () => false)];
}
