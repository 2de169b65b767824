// What is drawn of a line: its rolling mean, its mean within a view, the values of all lines there.

/** Mean over the last `points` values, that one included; null until there are so many, and at gaps. */
function rolling(values, points) {
  const means = [];
  let sum = 0;
  let gaps = 0;
  const add = (value, sign) => {
    if (value === null) gaps += sign;
    else sum += sign * value;
  };
  values.forEach((value, i) => {
    add(value, 1);
    if (i >= points) add(values[i - points], -1);
    means.push(i < points - 1 || gaps > 0 ? null : sum / points);
  });
  return means;
}

/** First and last position of `x` within a view, one more on each side so that lines reach its borders. */
function within(x, [low, high]) {
  let first = x.findIndex((place) => place >= low);
  if (first < 0) first = x.length - 1;
  let last = x.length - 1;
  while (last > first && x[last] > high) last -= 1;
  return [Math.max(0, first - 1), Math.min(x.length - 1, last + 1)];
}

/** Mean of a line's own values (not the rolling ones) within a view; null where there are none. */
function meanWithin(plot, line, [low, high]) {
  const inside = line.y.filter((value, i) => value !== null && plot.x[i] >= low && plot.x[i] <= high);
  return inside.length ? inside.reduce((sum, value) => sum + value, 0) / inside.length : null;
}

/** Lowest and highest of the drawn values within a view; null where there are none. */
function extent(curves, [first, last]) {
  let low = Infinity;
  let high = -Infinity;
  for (const curve of curves) {
    for (let i = first; i <= last; i += 1) {
      if (curve[i] === null) continue;
      low = Math.min(low, curve[i]);
      high = Math.max(high, curve[i]);
    }
  }
  return low <= high ? [low, high] : null;
}

/** Position of the point of `x` that is nearest to a place. */
function nearest(x, place) {
  let best = 0;
  x.forEach((value, i) => {
    if (Math.abs(value - place) < Math.abs(x[best] - place)) best = i;
  });
  return best;
}

/** SVG path of a curve; gaps split it. */
function pathOf(x, curve, [first, last], scaleX, scaleY) {
  let path = "";
  let isDrawing = false;
  for (let i = first; i <= last; i += 1) {
    if (curve[i] === null || !Number.isFinite(scaleY(curve[i]))) {
      isDrawing = false;
      continue;
    }
    path += `${isDrawing ? "L" : "M"}${scaleX(x[i]).toFixed(1)} ${scaleY(curve[i]).toFixed(1)}`;
    isDrawing = true;
  }
  return path;
}
