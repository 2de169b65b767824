// Elements, made without HTML: every text that comes from a record is set as text.

const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);

/** Set attributes; true sets an empty one, null and false set none. */
function setAll(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (typeof value === "number") element.setAttribute(name, String(Number(value.toFixed(2))));
    else if (value !== null && value !== false) element.setAttribute(name, value);
  }
  return element;
}

/** An HTML element; children are elements or texts. */
function make(tag, attributes = {}, ...children) {
  const element = setAll(document.createElement(tag), attributes);
  element.append(...children);
  return element;
}

/** An SVG element. */
function draw(tag, attributes = {}, ...children) {
  const element = setAll(document.createElementNS(SVG, tag), attributes);
  element.append(...children);
  return element;
}

/** A name from a record: kept apart from the text around it, whatever its direction. */
function nameOf(text, attributes = {}) {
  return make("bdi", { dir: "auto", ...attributes }, text);
}

/** A name that is cut where there is no room; it is whole for readers of the screen and as a tooltip. */
function clipped(text) {
  return nameOf(text, { class: "clip", title: text });
}

/** A button; `press` is called on a click. */
function button(children, press, attributes = {}) {
  const element = make("button", { type: "button", ...attributes }, ...children);
  element.addEventListener("click", press);
  return element;
}

/** A labelled drop-down; `choose` is called with the value. */
function choice(label, options, choose) {
  const select = make("select", {}, ...options.map(([value, text]) => make("option", { value }, text)));
  select.addEventListener("change", () => choose(select.value));
  return { field: make("label", { class: "field" }, label, select), select };
}

/** A short stroke in a line's colour and dash. */
function swatch(line) {
  const stroke = draw("line", { x1: 0, y1: 5, x2: 26, y2: 5, "stroke-dasharray": line.dash || null });
  colour(stroke, line);
  return draw("svg", { class: "swatch", viewBox: "0 0 26 10", "aria-hidden": "true" }, stroke);
}

/** Give an element both colours of a line; the style sheet picks one. */
function colour(element, line) {
  element.style.setProperty("--light", line.light);
  element.style.setProperty("--dark", line.dark);
  return element;
}

const plural = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
