// The report's sentences: runs of text, some of them strong, some of them links within the page.

const STYLES = new Set(["strong", "em", "code"]);
const TARGETS = {
  "#problems": "#problems",
  "#is-the-difference-more-than-chance": "#leaderboard",
};

/** One run of a sentence. */
function proseRun([text, style, target]) {
  if (style === "link" && Object.hasOwn(TARGETS, target)) return make("a", { href: TARGETS[target] }, text);
  return STYLES.has(style) ? make(style, {}, nameOf(text)) : text;
}

/** Fill an element with paragraphs and lists. */
function writeProse(parent, blocks) {
  let list = null;
  for (const { kind, runs } of blocks) {
    if (kind === "li") {
      if (list === null) parent.append((list = make("ul")));
    } else {
      list = null;
    }
    (list ?? parent).append(make(kind, {}, ...runs.map(proseRun)));
  }
}
