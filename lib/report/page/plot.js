// Plots whose labels stay readable when a phone shows the picture 330 pixels wide.
// An axis is {label, log: values are above zero, words: text of a value, ticks: exactly these}.
// A series is {name, points: [[x, y]], mark}; marks: line, steps, dots, both (line and dots).

const WIDTH = 420, LEFT = 58, RIGHT = 408, TOP = 10, BOTTOM = 206;
const MOST_RANGES = 24, MOST_POINTS = 4000, COLOURS = 6;

// The values that an axis holds, and their places in pixels.
class Axis {
  constructor({label = '', log = false, words = general, ticks = []}) {
    Object.assign(this, {label, log, words, chosen: ticks, low: Infinity, high: -Infinity});
  }
  takes(value) { return Number.isFinite(value) && (!this.log || value > 0); }
  add(values) {
    for (const value of values.filter(one => this.takes(one))) {
      this.low = Math.min(this.low, value);
      this.high = Math.max(this.high, value);
    }
  }
  get empty() { return this.low > this.high; }
  // Room at both ends; a single value gets an axis, too.
  widen(part) {
    if (this.log) {
      const factor = Math.max((this.high / this.low) ** part, this.low === this.high ? 1.5 : 1);
      [this.low, this.high] = [this.low / factor, this.high * factor];
    } else {
      const room = (this.high - this.low) * part || Math.abs(this.low) / 4 || 1;
      [this.low, this.high] = [this.low - room, this.high + room];
    }
  }
  place(from, to) { [this.from, this.to] = [from, to]; }
  at(value) {
    const {low, high} = this;
    const part = this.log ? Math.log(value / low) / Math.log(high / low)
      : (value - low) / (high - low);
    return this.from + Math.min(Math.max(part, -0.1), 1.1) * (this.to - this.from);
  }
  ticks(most) {
    if (!this.chosen.length) return roundTicks(this.low, this.high, this.log, most);
    return this.chosen.filter(tick => tick >= this.low && tick <= this.high);
  }
}

// Round values from `low` to `high`, at most about so many.
function roundTicks(low, high, log, most) {
  if (!(low < high)) return [];
  if (log && high / low > 5) return decadeTicks(low, high, most);
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find(digit => digit * power >= rough * 0.999) ?? 10);
  const ticks = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; ++n)
    ticks.push(n * step);
  return ticks;
}

function decadeTicks(low, high, most) {
  const decades = Math.log10(high / low);
  const digits = 3 * decades <= most + 2 ? [1, 2, 5] : [1];
  const every = Math.ceil(decades / most);
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += every)
    ticks.push(...digits.map(digit => digit * 10 ** power));
  return ticks.filter(tick => tick >= low && tick <= high);
}

const line = (kind, x1, y1, x2, y2) => svg('line', {class: kind, x1: px(x1), x2: px(x2), y1, y2});
const px = value => value.toFixed(1);
const dot = (kind, x, y, r) => svg('circle', {class: kind, cx: px(x), cy: px(y), r});
const rect = (kind, x, y, width, height) =>
  svg('rect', {class: kind, x: px(x), y: px(y), width: px(width), height: px(height)});
const label = (x, y, anchor, words) =>
  svg('text', {x: px(x), y: px(y), 'text-anchor': anchor}, words);
const strong = (x, y, words) => svg('text', {class: 's', x, y}, words);

function figure(title, description, height, ...body) {
  return html('figure', {}, html('figcaption', {}, title),
    svg('svg', {viewBox: `0 0 ${WIDTH} ${height}`, role: 'img', 'aria-label': title},
      svg('title', {}, title), svg('desc', {}, description), body));
}

// Below the axis, centred; moved inwards where the picture ends.
function tickLabel(x, y, words) {
  const half = 3.3 * words.length;
  if (x + half > WIDTH - 1) return label(WIDTH - 1, y, 'end', words);
  return x - half < 1 ? label(1, y, 'start', words) : label(x, y, 'middle', words);
}

function horizontalAxis(x, bottom) {
  return [x.ticks(5).map(tick => [line('grid', x.at(tick), TOP, x.at(tick), bottom),
    tickLabel(x.at(tick), bottom + 15, x.words(tick))]),
  line('axis', x.at(x.low), bottom, RIGHT, bottom),
  label((x.at(x.low) + RIGHT) / 2, bottom + 31, 'middle', x.label)];
}

function marks({points, mark}, colour, x, y) {
  const body = [];
  if (mark !== 'dots' && points.length > 1) {
    const path = points.map(([a, b], i) => (i === 0 ? 'M'
      : mark === 'steps' ? `L${px(x.at(a))} ${px(y.at(points[i - 1][1]))}L` : 'L') +
      `${px(x.at(a))} ${px(y.at(b))}`);
    body.push(svg('path', {class: `line k${colour}`, d: path.join('')}));
  }
  if (['dots', 'both'].includes(mark) || points.length === 1)
    body.push(points.map(([a, b]) =>
      dot(`f${colour}`, x.at(a), y.at(b), points.length > 100 ? 1.6 : 3)));
  return body;
}

// Two names in a row, one when they are long.
function legend(series, top) {
  const names = series.map((one, i) => ({...one, colour: i % COLOURS}))
    .filter(one => one.name && one.points.length);
  const columns = series.some(one => [...one.name].length > 26) ? 1 : 2;
  const body = names.map(({name, mark, colour}, i) => {
    const x = i % columns ? 216 : 12;
    const y = top + 17 * Math.floor(i / columns);
    return [mark === 'dots' ? dot(`f${colour}`, x + 11, y - 4, 3)
      : line(`line k${colour}`, x, y - 4, x + 22, y - 4),
    strong(x + 28, y, shortened(name, columns === 1 ? 56 : 26))];
  });
  return {body, height: names.length && 17 * Math.ceil(names.length / columns) + 6};
}

// A figure; nothing when no series has a point that can be shown. `rules` are horizontal lines,
// `bands` horizontal and shaded, `cuts` vertical lines.
function plot({title, description, x, y, series, rules = [], bands = [], cuts = [], fromZero}) {
  [x, y] = [new Axis(x), new Axis(y)];
  series = series.map(one => ({name: '', ...one, points: one.points
    .filter(([a, b]) => x.takes(a) && y.takes(b)).slice(0, MOST_POINTS)}));
  const points = series.flatMap(one => one.points);
  x.add(points.map(([a]) => a));
  y.add(points.map(([, b]) => b));
  if (x.empty) return null;
  y.add([...rules, ...bands.flat()]);
  x.widen(0.03);
  if (fromZero)
    [y.low, y.high] = [0, y.high > 0 ? y.high * 1.06 : 1];
  else
    y.widen(0.06);
  x.place(LEFT, RIGHT);
  y.place(BOTTOM, TOP);
  const names = legend(series, BOTTOM + 52);
  return figure(joined([title, y.label], ' · '), description, BOTTOM + 38 + names.height,
    bands.map(([low, high]) =>
      rect('band', LEFT, y.at(high), RIGHT - LEFT, Math.max(y.at(low) - y.at(high), 1))),
    horizontalAxis(x, BOTTOM),
    y.ticks(7).map(tick => [line('grid', LEFT, px(y.at(tick)), RIGHT, px(y.at(tick))),
      label(LEFT - 6, y.at(tick) + 4, 'end', y.words(tick))]),
    cuts.map(cut => line('axis', x.at(cut), TOP, x.at(cut), BOTTOM)),
    rules.map(rule => line('rule', LEFT, px(y.at(rule)), RIGHT, px(y.at(rule)))),
    series.map((one, i) => marks(one, i % COLOURS, x, y)), names.body);
}

// Rows of ranges on one axis: {name, low, high, inner: [thick from, to], mark: dot, words}.
function ranges({title, description, x, rows, rules = [], bands = []}) {
  x = new Axis(x);
  const values = row => [row.low, row.high, ...row.inner, row.mark];
  rows = rows.filter(row => values(row).every(value => x.takes(value))).slice(0, MOST_RANGES);
  x.add(rows.flatMap(values));
  if (x.empty) return null;
  x.add([...rules, ...bands.flat()]);
  x.widen(0.05);
  x.place(14, RIGHT);
  const bottom = TOP + 42 * rows.length;
  return figure(title, description, bottom + 38,
    bands.map(([low, high]) =>
      rect('band', x.at(low), TOP, Math.max(x.at(high) - x.at(low), 1), bottom - TOP)),
    horizontalAxis(x, bottom),
    rules.map(rule => line('rule', x.at(rule), TOP, x.at(rule), bottom)),
    rows.map((row, i) => {
      const y = TOP + 42 * i + 29;
      const [from, to] = row.inner.map(value => x.at(value));
      return [strong(14, y - 13, shortened(row.name, 30)),
        label(RIGHT, y - 13, 'end', shortened(row.words, 36)),
        line(`k${i % 2} solid thin`, x.at(row.low), y, x.at(row.high), y),
        line(`k${i % 2} solid thick`, from, y, to, y),
        dot(`f${i % 2}`, x.at(row.mark), y, 4.5)];
    }));
}

const figures = (...drawn) =>
  drawn.flat().some(Boolean) ? html('div', {class: 'figures'}, drawn) : null;
