// Pictures of bench: distribution of latency, ratios block by block, curves of a sweep.

const MOST_CURVES = 6, MOST_BLOCKS = 4;

// [low, high, count] of the histogram, in nanoseconds; bins are objects or such lists.
function bins(row) {
  return list(row, 'samples', 'histogram', 'bins')
    .map(bin => (Array.isArray(bin) ? bin : ['low', 'high', 'count'].map(key => get(bin, key)))
      .map(numberOf))
    .filter(([low, high, n]) => n >= 0 && high >= low);
}

// Share of the samples that took no longer: a point at the end of each bin.
function cumulative(row) {
  const filled = bins(row).filter(([, , n]) => n > 0);
  const total = filled.reduce((sum, [, , n]) => sum + n, 0);
  let sum = 0;
  const points = filled.map(([, high, n]) => [high, (sum += n) / total]);
  return points.length ? [[filled[0][0], 0], ...points] : [];
}

const TIME_AXIS = {label: 'time of one inference', log: true, words: duration};

function distribution() {
  const labels = caseLabels(cases);
  const rows = cases.map(row => ({name: labels.get(text(row, 'id')), points: cumulative(row),
    mark: 'line', median: num(row, 'latency', 'median')}))
    .filter(one => one.points.length).slice(0, MOST_CURVES);
  return plot({title: 'Distribution of latency', x: TIME_AXIS, series: rows, fromZero: true,
    y: {label: 'share that was no slower', words: share},
    description: rows.filter(one => one.median !== undefined)
      .map(one => `${one.name}: median ${duration(one.median)}. `).join('')});
}

function spread() {
  const labels = caseLabels(cases);
  const rows = cases.map(row => {
    const [low, mark, high, iqr] =
      ['min', 'median', 'max', 'iqr'].map(key => num(row, 'latency', key));
    const half = (iqr ?? 0) / 2;
    return {name: labels.get(text(row, 'id')), low, high, mark,
      inner: [Math.max(low, mark - half), Math.min(high, mark + half)]};
  }).filter(row => [row.low, row.high, row.mark].every(Number.isFinite))
    .map(row => ({...row, words: duration(row.mark)}));
  return ranges({title: 'Latency: minimum to maximum, middle half thick, median as a dot',
    x: TIME_AXIS, rows, description: rows.map(({name, low, high, words}) =>
      `${name}: ${duration(low)} to ${duration(high)}, median ${words}. `).join('')});
}

// Labels of the cases that were compared, and of no others.
function comparedLabels() {
  const ids = new Set(compared.map(row => text(row, 'id')));
  const labels = caseLabels(cases.filter(row => ids.has(text(row, 'id'))));
  return compared.map(row => labels.get(text(row, 'id')) ?? text(row, 'id'));
}

const RATIO_AXIS = {label: 'model / baseline', log: true, words: ratio};

// Blocks of several processes one after the other; a cut where the next begins.
function blocks(row, name) {
  const points = [];
  const cuts = [];
  for (const one of list(row, 'block_ratios')) {
    if (Array.isArray(one) && points.length) cuts.push(points.length + 0.5);
    for (const value of [one].flat().map(numberOf).filter(Number.isFinite))
      points.push([points.length + 1, value]);
  }
  if (points.length < 3) return null;
  const step = Math.max(1, Math.floor(points.length / 6));
  const round = 10 ** Math.floor(Math.log10(step));
  const every = Math.ceil(step / round) * round;
  const ticks = Array.from({length: Math.floor(points.length / every)}, (_, i) => (i + 1) * every);
  const ci = interval(get(row, 'ratio'));
  return plot({title: joined(['Ratio of each pair of blocks', name]),
    x: {label: 'pair of blocks', words: plain, ticks}, y: RATIO_AXIS, rules: [1], cuts,
    bands: ci && ci[0] > 0 ? [ci] : [], series: [{points, mark: 'dots'}],
    description: `${points.length} pairs; the shaded band is the interval of the ratio, below 1 ` +
      'the model is faster than the baseline'});
}

function forest() {
  const labels = comparedLabels();
  const rows = compared.map((row, i) => ({row, name: labels[i], mark: num(row, 'ratio'),
    ci: interval(get(row, 'ratio'))})).filter(one => one.mark !== undefined && one.ci);
  const delta = Math.max(0, ...rows.map(one => num(one.row, 'effective_delta') ?? 0));
  return ranges({title: 'Time against the baseline, with its interval', x: RATIO_AXIS, rules: [1],
    bands: delta > 0 && delta < 1 ? [[1 - delta, 1 + delta]] : [],
    rows: rows.map(({row, name, mark, ci}) => ({name, mark, low: ci[0], high: ci[1],
      inner: [mark, mark], words: `${ratio(mark)}, ${text(row, 'verdict')}`})),
    description: 'Left of 1 is faster. Shaded: changes too small to count. ' +
      rows.map(({name, mark, ci}) => `${name}: ${general(mark, 3)} (${general(ci[0], 3)} to ` +
        `${general(ci[1], 3)}). `).join('')});
}

// One curve for each way to run that stays the same along x: [name, [[x, latency, items/s]]].
function curves(overBatch) {
  const threads = row => threadsOf(row) ?? 1;
  const batch = row => num(row, 'batch') ?? 1;
  const [x, other] = overBatch ? [batch, threads] : [threads, batch];
  const several = key => new Set(cases.map(key)).size > 1;
  const named = {model: several(caseModel), engine: several(row => text(row, 'engine')),
    other: several(other)};
  const otherName = n => overBatch ? `${general(n)} ${n === 1 ? 'thread' : 'threads'}`
    : `batch ${general(n)}`;
  const found = new Map();
  for (const row of cases) {
    const [median, rate] = [num(row, 'latency', 'median'), num(throughput(row), 'items_per_s')];
    if (median === undefined || rate === undefined) continue;
    const scenario = text(row, 'scenario');
    const name = joined([named.model && caseModel(row), named.engine && text(row, 'engine'),
      named.other && otherName(other(row)), scenario !== 'single' && scenario]);
    if (!found.has(name)) found.set(name, new Map());
    found.get(name).set(x(row), [x(row), median, rate]);
  }
  return [...found].filter(([, points]) => points.size > 1)
    .map(([name, points]) => [name, [...points.values()].sort((a, b) => a[0] - b[0])])
    .sort(([a], [b]) => a < b ? -1 : 1).slice(0, MOST_CURVES);
}

function sweep(overBatch) {
  const axis = overBatch ? 'batch' : 'threads';
  const all = curves(overBatch);
  const measured = [...new Set(all.flatMap(([, points]) => points.map(([x]) => x)))]
    .sort((a, b) => a - b);
  const x = {label: axis, log: true, words: plain, ticks: measured.length > 8 ? [] : measured};
  const draw = (what, value, words, more) => plot({title: `${what} by ${axis}`, x, ...more,
    series: all.map(([name, points]) =>
      ({name, mark: 'both', points: points.map(point => [point[0], point[value]])})),
    description: all.flatMap(([name, points]) => points.map(point =>
      `${name} at ${axis} ${general(point[0])}: ${words(point[value])}. `)).join('')});
  return [draw('Latency', 1, duration, {y: {label: 'median', log: true, words: duration}}),
    draw('Throughput', 2, plain, {y: {label: 'items per second', words: plain}, fromZero: true})];
}

// What one chooses between: speed against size or quality, the Pareto front as a line.
function choice(bySize) {
  const rows = cases.map(row => ({row, name: caseModel(row), y: num(row, 'latency', 'median'),
    x: bySize ? num(row, 'size_bytes') : num(row, 'quality')}))
    .filter(({x, y}) => y !== undefined && (bySize ? x > 0 : x !== undefined));
  const values = [...new Set(rows.map(one => one.x))].sort((a, b) => a - b);
  if (values.length < 2) return null;
  const metric = text(rows.at(-1).row, 'quality', 'metric');
  const x = bySize
    ? {label: 'file size', log: true, words: bytes, ticks: byteTicks(values[0], values.at(-1))}
    : {label: metric, words: metricIsShare(metric) ? share : plain};
  const names = [...new Set(rows.map(one => one.name))].sort();
  const point = one => [one.x, one.y];
  const front = rows.filter(({row}) => get(row, 'pareto', 'latency_bytes_quality') === true)
    .map(point).sort(([a, c], [b, d]) => a - b || c - d);
  return plot({title: bySize ? 'Size and speed' : 'Quality and speed', x,
    y: {label: 'median', log: true, words: duration},
    description: names.flatMap(name => rows.filter(one => one.name === name)).map(one =>
      `${one.name} ${x.words(one.x)}: ${duration(one.y)}. `).join(''),
    series: [...names.slice(0, MOST_CURVES - 1).map(name =>
      ({name, mark: 'dots', points: rows.filter(one => one.name === name).map(point)})),
    ...(front.length ? [{name: 'Pareto front', mark: 'both', points: front}] : [])]});
}

// Powers of two, about five of them.
function byteTicks(low, high) {
  const first = Math.floor(Math.log2(low));
  const step = Math.max(1, Math.ceil((Math.log2(high) - first) / 5));
  const length = Math.ceil((Math.log2(high) - first) / step) + 2;
  return Array.from({length}, (_, i) => 2 ** (first + i * step));
}

// A long run: does the latency keep its level, does the memory grow?
function longRun() {
  const points = cases.length === 1 ? list(cases[0], 'soak', 'points') : [];
  const x = {label: 'seconds', words: plain};
  const draw = (title, column, y) => plot({title, x, y,
    series: [{mark: 'steps', points: points.map(point => [point[0], point[column]])
      .filter(([, value]) => value !== null)}],
    description: `From ${y.words(points[0][column])} to ${y.words(points.at(-1)[column])}.`});
  return points.length < 2 ? [] : [
    draw('Latency over time', 2, {label: '10th percentile', words: duration}),
    points[0][3] !== null &&
      draw('Memory over time', 3, {label: 'resident', words: value => bytes(Math.round(value))})];
}

function benchFigures() {
  if (!cases.length) return null;
  const lines = [sweep(true), sweep(false), cases.length > 2 ? [choice(true), choice(false)] : []]
    .flat().filter(Boolean);
  const first = distribution() ?? (!lines.length || cases.length <= 6 ? spread() : null);
  const labels = comparedLabels();
  const pairs = compared.map((row, i) => blocks(row, new Set(labels).size > 1 ? labels[i] : ''));
  return figures(first, longRun().filter(Boolean), forest(), pairs.filter(Boolean).slice(0, MOST_BLOCKS), lines);
}
