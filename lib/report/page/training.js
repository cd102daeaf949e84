// Of prune and distill: what each group by itself costs, and how a network was trained.

const SEEN_CURVES = 12, MOST_COLUMNS = 12, SHOWN_POINTS = 400;

// Each group with its values by sparsity and its mean loss, the most sensitive first.
function sensitivityCurves(lossOf) {
  const groups = new Map();
  for (const row of list(report, 'sensitivity', 'rows')) {
    const [sparsity, value] = [num(row, 'sparsity'), num(row, 'value')];
    if (sparsity === undefined || value === undefined) continue;
    const name = text(row, 'group');
    if (!groups.has(name))
      groups.set(name, {name, size: showNumber(row, 'size'), values: new Map()});
    groups.get(name).values.set(sparsity, value);
  }
  for (const group of groups.values()) {
    group.points = [...group.values].sort(([a], [b]) => a - b);
    const losses = group.points.map(([, value]) => lossOf(value));
    group.loss = losses.reduce((a, b) => a + b) / losses.length;
  }
  return [...groups.values()].sort((a, b) => b.loss - a.loss);
}

function sensitivityFigure(metric, dense, groups) {
  const drawn = groups.slice(0, COLOURS);
  const start = points => dense !== undefined && points[0][0] > 0 ? [[0, dense]] : [];
  const last = points => points.at(-1);
  return plot({
    title: groups.length > COLOURS ? 'The most sensitive groups' : 'Sensitivity by group',
    x: {label: 'channels of this one group that are gone', words: share},
    y: {label: metric, words: metricIsShare(metric) ? share : plain},
    rules: dense === undefined ? [] : [dense],
    description: (dense === undefined ? '' : `Dense: ${metricWords(metric, dense)}. `) +
      drawn.map(({name, points}) => `${name}: ${metricWords(metric, last(points)[1])} with ` +
        `${share(last(points)[0])} gone. `).join(''),
    series: drawn.map(({name, points}) =>
      ({name, mark: 'both', points: [...start(points), ...points]}))});
}

// The deeper the colour, the more of the metric is lost; readable on light and on dark.
function heat(words, part) {
  if (part < 0.02) return words;
  const style = `background:rgba(208,112,32,${(0.45 * part).toFixed(2)});padding:2px 0 2px 6px`;
  return html('span', {style}, words);
}

function sensitivity() {
  const metric = text(report, 'sensitivity', 'metric');
  const dense = num(report, 'sensitivity', 'dense');
  const sign = metricGrowsWithQuality(metric) ? 1 : -1;
  const lossOf = value => sign * ((dense ?? 0) - value);
  const groups = sensitivityCurves(lossOf);
  if (!groups.length) return null;
  const points = groups.flatMap(group => group.points);
  const worst = points.reduce((most, [, value]) => Math.max(most, lossOf(value)), 0);
  const all = [...new Set(points.map(([sparsity]) => sparsity))].sort((a, b) => a - b);
  const words = value => metricIsShare(metric) ? fixed(100 * value, 1) + ' %'
    : metricWords(metric, value);
  const part = value => worst > 0 ? Math.min(Math.max(lossOf(value) / worst, 0), 1) : 0;
  return [figures(sensitivityFigure(metric, dense, groups)),
    foldedTable(SEEN_CURVES, 'less sensitive groups',
      `${metric || 'Metric'} when so much of the group is gone, the most sensitive first`, [
        ['group', 'w', group => nameOf(group.name, 36)], ['size', 'n', group => group.size],
        ...all.slice(0, MOST_COLUMNS).map(sparsity => [share(sparsity), 'n', group =>
          orDash(group.values.get(sparsity), value => heat(words(value), part(value)))])], groups),
    noteIf(all.length > MOST_COLUMNS,
      `${all.length - MOST_COLUMNS} more sparsities are in the JSON report.`),
    note('One group at a time, everything else whole, nothing repaired. The dotted line is the ' +
      'dense model.')];
}

// First, last and evenly spread ones between.
function thinned(points) {
  if (points.length <= SHOWN_POINTS) return points;
  return Array.from({length: SHOWN_POINTS}, (_, i) =>
    points[Math.floor(i * (points.length - 1) / (SHOWN_POINTS - 1))]);
}

function fromTo(points, words) {
  if (!points.length) return '';
  const [[first, from], [last, to]] = [points[0], points.at(-1)];
  return `From ${words(from)} at ${whole(first)} to ${words(to)} at ${whole(last)}.`;
}

// By epoch, counted from 1; only whole numbers on the axis.
function epochFigure({key, title, words, more = '', ...rest}) {
  const points = list(report, 'training', 'epochs').map((row, i) => [i + 1, num(row, key)])
    .filter(([, value]) => value !== undefined);
  if (!points.length) return null;
  const ticks = roundTicks(0.5, points.at(-1)[0] + 0.5, false, 6)
    .filter(tick => tick >= 1 && Number.isInteger(tick));
  return plot({title, description: fromTo(points, words) + more, y: {words},
    x: {label: 'epoch', words: whole, ticks: ticks.length ? ticks : [points[0][0]]},
    series: [{points: thinned(points), mark: 'both'}], ...rest});
}

function sparsityFigure() {
  const points = list(report, 'training', 'sparsity')
    .map(row => [num(row, 'step'), num(row, 'sparsity')])
    .filter(point => !point.includes(undefined));
  return plot({title: 'Sparsity while training', description: fromTo(points, share),
    x: {label: 'step', words: whole}, y: {words: share}, fromZero: true,
    series: [{points: thinned(points), mark: 'steps'}]});
}

function training() {
  const trained = get(report, 'training');
  if (!isObject(trained)) return null;
  const epochs = list(trained, 'epochs');
  // The last stage that has one is what was trained for; the first is the teacher.
  const metric = stages.map(row => text(row, 'metric')).filter(Boolean).at(-1) ?? 'metric';
  const words = metricIsShare(metric) ? share : plain;
  const value = num(stages[0], 'value');
  const teacher = text(report, 'run', 'command') === 'distill' ? 'the teacher' : 'the dense model';
  const best = num(trained, 'best_epoch');
  const [taught, labelled] = ['teacher', 'labels'].map(key => get(trained, key) === true);
  const [seconds, rate] = [num(trained, 'seconds'), num(trained, 'samples_per_s')];
  const summary = joined([epochs.length && `${epochs.length} epochs`,
    taught ? `taught by ${teacher}${labelled ? ' and labels' : ', without labels'}`
      : labelled && 'from labels',
    seconds !== undefined && duration(1e9 * seconds),
    rate !== undefined && `${plain(rate)} samples/s`,
    best !== undefined && `the best epoch is ${whole(best + 1)} (the upright line)`]);
  const measured = epochs.some(row => num(row, 'metric') !== undefined);
  const all = table('Epochs', [['epoch', 'n', ({index}) => String(index + 1)],
    ['loss', 'n', ({row}) => orDash(num(row, 'loss'), loss => general(loss, 5))],
    ['learning rate', 'n', ({row}) => orDash(num(row, 'learning_rate'), one => general(one, 3))],
    ...(measured ? [[metric, 'n', ({row}) =>
      orDash(num(row, 'metric'), one => metricWords(metric, one))]] : [])],
  epochs.map((row, index) => ({row, index})), {seen: false});
  return [
    figures(epochFigure({key: 'loss', title: 'Loss by epoch', words: plain}),
      epochFigure({key: 'metric', words, cuts: best === undefined ? [] : [best + 1],
        title: `${metric} by epoch${value === undefined ? '' : `, dotted: ${teacher}`}`,
        more: value === undefined ? '' : ` Dotted, ${teacher}: ${words(value)}.`,
        rules: value === undefined ? [] : [value]}),
      sparsityFigure()),
    noteIf(summary, summary + '.'), all && more('All epochs', all)];
}
