// Of quantize: errors by layer and their causes, and the ranges that were chosen for the values.

const bySqnr = rows => rows.map(row => ({row, level: num(row, 'sqnr_db') ?? 1e9}))
  .sort((a, b) => a.level - b.level).map(one => one.row);

// With bars from 0 to 60 dB at least: a short one is a bad layer, whatever the others are.
function errorTable(rows, caption, bars, most) {
  const sorted = bySqnr(rows);
  const scale = sorted.reduce((high, row) => Math.max(high, num(row, 'sqnr_db') ?? 0), 60);
  return [
    table(caption, [
      ['value', 'w', row => nameAndType(text(row, 'value'), text(row, 'node_type'), 44)],
      ...(bars ? [['', 'l', row => bar((num(row, 'sqnr_db') ?? 0) / scale)]] : []),
      ['SQNR', 'n', row => showDecibels(row, 'sqnr_db')],
      ['cosine', 'n', row => orDash(num(row, 'cosine'), value => fixed(value, 5))],
      ['max |a−b| / max |a|', 'n', row =>
        orDash(num(row, 'relative_max_error'), value => general(value, 3))]],
    sorted.slice(0, most)),
    noteIf(sorted.length > most, `${sorted.length - most} better ones are in the JSON report.`)];
}

function errorsByLayer() {
  return [errorTable(list(report, 'error_by_value', 'outputs'), 'Outputs', false, 24),
    errorTable(list(report, 'error_by_value', 'layers'),
      'Worst layers: signal to quantization noise, short bars first', true, 24)];
}

const layers = list(report, 'quantize', 'layers');
const layerName = row => nameAndType(text(row, 'node'), text(row, 'node_type'), 44);

function diagnosis() {
  const rows = list(report, 'quantize', 'diagnosis');
  if (!rows.length)
    return layers.length ? html('p', {}, 'Every layer keeps 20 dB by itself and 15 dB in the ' +
      'whole network: there is nothing to fix in single layers.') : null;
  const hint = text(report, 'quantize', 'hint');
  // What arrives at the layers after three that gather errors says little more.
  let gathered = 0;
  const seen = rows.filter(row => (gathered += text(row, 'culprit') ? 1 : 0) <= 3).length;
  return [hint ? html('p', {}, 'Try ', code(hint)) : null,
    foldedTable(Math.min(seen, 12), 'more', 'Signal to quantization noise: short bars are bad', [
      ['layer', 'w', layerName],
      ['', 'l', row => bar((num(row, 'sqnr_db') ?? 60) / 60)],
      ['in the network', 'n', row => showDecibels(row, 'sqnr_db')],
      ['by itself', 'n', row => showDecibels(row, 'local_sqnr_db')],
      ['cause', 'w', row => [html('b', {}, text(row, 'cause')), ': ', text(row, 'text')]],
      ['what helps', 'w', row => text(row, 'flag') ? code(text(row, 'flag')) : '–']],
    rows, {stacks: true})];
}

function lossFigure() {
  const points = key => layers.map((row, i) => [i + 1, num(row, key)])
    .filter(([, level]) => level !== undefined);
  const network = points('sqnr_db');
  const least = Math.min(...network.map(([, level]) => level));
  return plot({title: 'Loss along the network', x: {label: 'layer, in the order of the network'},
    y: {label: 'SQNR in dB'}, description: `${layers.length} layers; the least in the whole ` +
      `network is ${network.length ? decibels(least) : 'not known'}.`,
    series: [{name: 'weights alone', points: points('weight_sqnr_db'), mark: 'dots'},
      {name: 'activations alone', points: points('input_sqnr_db'), mark: 'dots'},
      {name: 'in the whole network', points: network, mark: 'line'}]});
}

// Noise over signal in power, from decibels; 0 where nothing is lost.
const noiseShare = level => level === undefined ? 0 : 10 ** (-level / 10);

// Length: the error's size in the signal's; blue for weights, the second colour for activations.
function stackedBar(weights, inputs, most) {
  const both = weights + inputs;
  if (both <= 0) return '';
  const length = 100 * Math.sqrt(both / most);
  const part = (kind, size) => size > 0.005 * both  // a bar is two pixels wide at least
    ? html('span', {class: kind,
      style: `width:${(length * size / both).toFixed(2)}%;border-radius:0`}) : null;
  return html('span', {class: 'track', style: 'display:flex'},
    part('bar', weights), part('bar b1', inputs));
}

function noise() {
  if (!layers.length) return null;
  const rows = layers.map(layer => {
    const [weights, inputs] =
      ['weight_sqnr_db', 'input_sqnr_db'].map(key => noiseShare(num(layer, key)));
    return {layer, weights, inputs, both: weights + inputs};
  }).sort((a, b) => b.both - a.both);
  const level = (head, key) => [head, 'n', row => showDecibels(row.layer, key)];
  const caption = 'Each layer with the float network\'s inputs, the worst first';
  return [figures(lossFigure()),
    foldedTable(12, 'better layers', caption, [
      ['layer', 'w', row => layerName(row.layer)],
      ['error', 'n', row => share(Math.sqrt(row.both), 2)],
      ['', 'l', row => stackedBar(row.weights, row.inputs, rows[0].both)],
      level('weights alone', 'weight_sqnr_db'), level('activations alone', 'input_sqnr_db'),
      level('both', 'local_sqnr_db')], rows),
    note('Bars: size of the error in that of the layer\'s output (square roots of mean squares); ' +
      'the first part is from rounded weights, the second from rounded activations.')];
}

const MOST_PICTURES = 60, MOST_BARS = 64, BARS_WIDTH = 160, BARS_HEIGHT = 56;

const reach = (row, low, high) =>
  `${general(num(row, low) ?? 0, 3)} to ${general(num(row, high) ?? 0, 3)}`;

// The histogram of one value with the range that was chosen for it.
function rangePicture(row) {
  const from = num(row, 'histogram', 'from') ?? 0;
  const width = num(row, 'histogram', 'width') ?? 0;
  const counts = list(row, 'histogram', 'counts').slice(0, MOST_BARS)
    .map(one => Math.max(0, numberOf(one) ?? 0));
  const [low, high] = [num(row, 'min'), num(row, 'max')];
  if (!counts.length || !(width > 0) || !(low < high)) return null;
  const left = Math.min(from, low);
  const right = Math.max(from + width * counts.length, high);
  const x = value => BARS_WIDTH * (value - left) / (right - left);
  // Half a step beyond the ends is rounding still.
  const half = (num(row, 'step') ?? 0) / 2;
  const most = Math.log1p(Math.max(...counts));
  const paths = {f0: '', f1: ''};
  counts.forEach((n, i) => {
    if (n <= 0) return;
    const start = from + width * i;
    const held = start + width >= low - half && start <= high + half;
    const tall = Math.max(1, (BARS_HEIGHT - 4) * Math.log1p(n) / most);
    const wide = px(Math.max(0.8, x(start + width) - x(start)));
    paths[held ? 'f0' : 'f1'] += `M${px(x(start))} ${BARS_HEIGHT}h${wide}v${px(-tall)}h-${wide}z`;
  });
  const name = text(row, 'value');
  const seen = ['seen_min', 'seen_max'].map(key => orDash(num(row, key), grouped));
  const words = `${name}: seen ${seen.join(' to ')}, integers reach from ` +
    reach(row, 'min', 'max');
  const level = num(row, 'sqnr_db');
  return html('figure', {},
    svg('svg', {viewBox: `0 0 ${BARS_WIDTH} ${BARS_HEIGHT}`, role: 'img', 'aria-label': words},
      svg('title', {}, words), rect('band', x(low), 0, x(high) - x(low), BARS_HEIGHT),
      Object.entries(paths).map(([kind, d]) => d ? svg('path', {class: kind, d}) : null),
      [low, high].map(end => Math.min(Math.max(x(end), 0.5), BARS_WIDTH - 0.5))
        .map(end => line('rule', end, 0, end, BARS_HEIGHT))),
    html('figcaption', {}, nameOf(name, 26), html('span', {},
      joined([reach(row, 'min', 'max'), text(row, 'observer'),
        level !== undefined && whole(level) + ' dB']))));
}

function valueRanges() {
  const rows = bySqnr(list(report, 'quantize', 'values'));
  if (!rows.length) return null;
  const pictures = rows.slice(0, MOST_PICTURES).map(rangePicture).filter(Boolean);
  const clipped = part => part === 0 ? '0' : share(part, 2);
  return [
    pictures.length ? [html('div', {class: 'figures small'}, pictures),
      note((rows.length > MOST_PICTURES
        ? `The ${MOST_PICTURES} values with the least SQNR of ${rows.length}. ` : '') +
        'The shaded part is what the integers reach; bars are counts on a logarithmic scale, in ' +
        'the second colour where values are clipped.')] : null,
    noteIf(rows.some(row => get(row, 'behind_reader') === true), 'Of values that only a Sigmoid ' +
      'or the like reads, the SQNR is behind it: what it makes flat may be clipped.'),
    more(`All ${rows.length} values`, table('Ranges', [
      ['value', 'w', row => nameOf(text(row, 'value'), 44)],
      ['made by', 'l', row => text(row, 'node_type')],
      ['observer', 'l', row => text(row, 'observer')],
      ['seen', 'l', row => reach(row, 'seen_min', 'seen_max')],
      ['integers reach', 'n', row => reach(row, 'min', 'max')],
      ['clipped', 'n', row => orDash(num(row, 'clipped_share'), clipped)],
      ['SQNR', 'n', row => orDash(num(row, 'sqnr_db'), decibels)]], rows))];
}
