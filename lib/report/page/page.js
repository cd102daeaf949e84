// The page: what was measured in a few large figures, then every section that has something to say.

function tile(name, figure, detail = '') {
  return html('li', {}, ...[['k', name], ['f', figure], ['d', detail]].map(([kind, words]) =>
    html('span', {class: kind}, words)));
}
// Nothing where the figure is absent.
const figureTile = (name, show, object, key, detail) =>
  num(object, key) === undefined ? null : tile(name, show(object, key), detail);

const againstTile = (name, show, before, after, key) =>
  figureTile(name, show, after, key, change(get(before, key), get(after, key)));

// The best of what was tried, and what one asked to be recommended.
function sweepTiles() {
  const rows = cases.filter(row => !text(row, 'id').startsWith('against/'));
  const labels = caseLabels(rows);
  const label = row => labels.get(text(row, 'id'));
  const best = (value, sign) => rows.filter(row => value(row) !== undefined)
    .reduce((a, b) => a === null || sign * value(b) > sign * value(a) ? b : a, null);
  const fastest = best(row => num(row, 'latency', 'median'), -1);
  const most = best(row => num(throughput(row), 'items_per_s'), 1);
  const wanted = get(report, 'sweep', 'recommended');
  const recommended = wanted && rows.find(row => get(row, 'id') === get(wanted, 'case'));
  return [tile('cases', String(rows.length)),
    fastest && tile('least median', showTime(get(fastest, 'latency'), 'median'), label(fastest)),
    most && tile('most items per second', showNumber(throughput(most), 'items_per_s'), label(most)),
    recommended && tile('recommended', label(recommended), text(wanted, 'metric'))];
}

function caseTiles() {
  const [after, before] = cases;
  return [['median', showTime, 'latency', 'median'],
    ['items per second', showNumber, 'throughput', 'items_per_s'],
    ['peak memory', showBytes, 'memory', 'hwm_bytes']].map(([name, show, part, key]) =>
    againstTile(name, show, get(before, part), get(after, part), key));
}

// Of prune: what is left of each size, the speed, and the metric at each stage.
function pruneTiles() {
  const sizeTile = (name, key, show) => figureTile(name, show, sizeAfter, key,
    left(key) === undefined ? '' : [share(left(key)), ' of ', show(sizeBefore, key)]);
  // What is fastest after pruning stands for all; measured ones before simulated ones.
  const time = row => num(row, 'after_ns') ?? Infinity;
  const [main] = list(report, 'latency').filter(row => num(row, 'speedup') !== undefined)
    .sort((a, b) => isSimulated(a) - isSimulated(b) || time(a) - time(b));
  return [sizeTile('file', 'file_bytes', showBytes), sizeTile('parameters', 'params', showCount),
    sizeTile('multiply-adds', 'macs', showCount),
    main && tile('speed-up', ratio(num(main, 'speedup')),
      joined([text(main, 'engine'), isSimulated(main) && 'simulated'])),
    stages.map(row => {
      const [metric, drop] = [text(row, 'metric'), num(row, 'drop')];
      return figureTile(`${metric}, ${text(row, 'stage')}`, showMetric, row, 'value',
        drop ? `drop ${dropWords(metric, drop)}` : '');
    })];
}

function qualityTile(row) {
  const drop = num(row, 'drop');
  const points = drop === undefined || !metricIsShare(text(row, 'metric')) ? ''
    : drop === 0 ? 'no drop'
      : `${drop > 0 ? '−' : '+'}${general(100 * Math.abs(drop), 2)} points`;
  return num(row, 'after') === undefined ? null
    : tile(text(row, 'metric'), showMetric(row, 'after'), points);
}

function tiles() {
  const sized = num(sizeAfter, 'file_bytes') !== undefined;
  const all = [cases.length > 2 ? sweepTiles() : caseTiles(),
    sized ? [] : againstTile('file', showBytes, modelBefore, modelAfter, 'file_bytes'),
    pruneTiles(),
    cases.length || sized ? [] : againstTile('nodes', showNumber, modelBefore, modelAfter, 'nodes'),
    stagesSayQuality ? [] : list(report, 'quality').map(qualityTile)].flat(2).filter(Boolean);
  return all.length ? html('ul', {class: 'tiles'}, all) : null;
}

const SECTIONS = [
  ['gates', 'Gates', gates], ['warnings', 'Warnings', warnings],
  ['fit', 'Does it fit?', fit], ['stages', 'Stages', allStages], ['sizes', 'Size', sizes], ['latency', 'Speed', latency],
  ['notes', 'Notes', notes], ['kept', 'What stays', whatStays],
  ['repair', 'Repair without labels', repair], ['sensitivity', 'Sensitivity', sensitivity],
  ['training', 'Training', training], ['before-after', 'Before and after', beforeAfter],
  ['figures', 'Figures', benchFigures], ['comparison', 'Comparison', comparison],
  ['quality', 'Quality', quality], ['cases', 'Cases', allCases], ['ops', 'Operators', operators],
  ['verification', 'Verification', verification], ['diagnosis', 'Worst layers', diagnosis],
  ['noise', 'Weights and activations', noise],
  ['ranges', 'Ranges of the integer values', valueRanges],
  ['layers', 'Error by layer', errorsByLayer], ['plan', 'Plan', plan],
  ['models', isObject(modelBefore) ? 'Models' : 'Model', models], ['passes', 'Passes', passes],
  ['measurement', 'How it was measured', measurement], ['host', 'Host and noise', host],
  ['run', '', run]];

// A section that cannot be drawn says so, and hides no other.
function drawn(draw) {
  try {
    return draw();
  } catch (error) {
    return note(`This part of the report cannot be shown: ${error.message}`);
  }
}

const footer = document.querySelector('footer');
const seenTiles = drawn(tiles);
if (seenTiles) footer.before(seenTiles);
for (const [id, title, draw] of SECTIONS) {
  const content = [drawn(draw)].flat(Infinity).filter(Boolean);
  if (content.length)
    footer.before(html('section', {id}, title ? html('h2', {}, title) : null, content));
}
