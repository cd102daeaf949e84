'use strict';
// Reading a report whose sections may be absent, null or of another type; its figures in words.

const report = JSON.parse(document.getElementById('data').textContent);

const isObject = value => value !== null && typeof value === 'object' && !Array.isArray(value);

// What is under these keys, one inside the other; null where one is absent.
function get(object, ...keys) {
  for (const key of keys)
    object = isObject(object) && Object.hasOwn(object, key) ? object[key] : null;
  return object;
}

function list(object, ...keys) {
  const value = get(object, ...keys);
  return Array.isArray(value) ? value : [];
}

// A finite number, or the one under "value" of an object; otherwise undefined.
function numberOf(value) {
  const number = isObject(value) ? get(value, 'value') : value;
  return Number.isFinite(number) ? number : undefined;
}
const num = (object, ...keys) => numberOf(get(object, ...keys));

// [low, high] under "ci95".
function interval(object) {
  const pair = list(object, 'ci95').map(numberOf);
  return pair.length === 2 && !pair.includes(undefined) ? pair : undefined;
}

// Control characters, and those that change the direction of what follows.
const UNSAFE = /[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

function escaped(letter) {
  const code = letter.charCodeAt(0);
  return code < 0x100 ? '\\x' + code.toString(16).padStart(2, '0') : '\\u' + code.toString(16);
}

function text(object, ...keys) {
  const value = get(object, ...keys) ?? null;
  if (value === null) return '';
  const isReal = typeof value === 'number' && !Number.isInteger(value);
  const plainWords = typeof value === 'string' ? value
    : isReal ? general(value) : JSON.stringify(value);
  const words = plainWords.replace(UNSAFE, escaped);
  return words.length > 300 ? [...words].slice(0, 300).join('') + '…' : words;
}

const joined = (parts, between = ', ') => parts.filter(part => part).join(between);

// A half becomes the even digit, as in the report's other formats.
function fixed(value, digits) {
  const up = value.toFixed(digits);
  const isHalf = /50{24}$/.test(value.toFixed(digits + 25)) && up.at(-1) % 2;
  return isHalf ? (up - Math.sign(value) / 10 ** digits).toFixed(digits) : up;
}

// As %g: so many digits, without zeros at the end.
function general(value, digits = 6) {
  const [mantissa, exponent] = value.toExponential(digits - 1).split('e');
  const power = Number(exponent);
  if (power >= -4 && power < digits) return String(Number(fixed(value, digits - 1 - power)));
  const sign = power < 0 ? '-' : '+';
  return `${Number(mantissa)}e${sign}${String(Math.abs(power)).padStart(2, '0')}`;
}

const plain = value => general(value, 4);
const share = (part, digits = 3) => general(100 * part, digits) + ' %';
const ratio = value => general(value, 3) + 'x';
const decibels = value => fixed(value, 1) + ' dB';
const whole = value => fixed(value, 0);

function duration(ns) {
  const size = Math.abs(ns);
  if (size < 1e3) return whole(ns) + ' ns';
  if (size < 1e6) return general(ns / 1e3, 3) + ' us';
  if (size < 1e9) return general(ns / 1e6, 3) + ' ms';
  if (size < 60e9) return general(ns / 1e9, 3) + ' s';
  const seconds = Math.round(ns / 1e9);
  const minutes = Math.trunc(seconds / 60);
  if (seconds < 3600) return `${minutes} min ${seconds % 60} s`;
  return `${Math.trunc(seconds / 3600)} h ${minutes % 60} min`;
}

function bytes(value) {
  let unit = 0;
  for (; Math.abs(value) >= 1024 && unit < 4; ++unit) value /= 1024;
  if (unit === 0) return Math.trunc(value) + ' B';
  return fixed(value, Math.abs(value) < 10 ? 2 : 1) + [' B', ' KiB', ' MiB', ' GiB', ' TiB'][unit];
}

function grouped(value) {
  const size = Math.abs(value);
  if (size >= 1e15) return general(value);
  if (size < 1000 && !Number.isInteger(value)) return plain(value);
  const digits = whole(size).replace(/\B(?=(\d{3})+$)/g, '\u202f');
  return (value < 0 ? '−' : '') + digits;
}

// "41.2 M" of a million and more.
function count(value) {
  for (const [power, letter] of [[1e12, 'T'], [1e9, 'G'], [1e6, 'M']])
    if (Math.abs(value) >= power) return `${plain(value / power)} ${letter}`;
  return grouped(value);
}
const counted = (value, noun) => `${count(value)} ${noun}${value === 1 ? '' : 's'}`;

const metricIsShare = metric => ['top1', 'top5', 'miou', 'agreement'].includes(metric);
const metricGrowsWithQuality = metric => !['mse', 'mae'].includes(metric);

function metricWords(metric, value) {
  if (metricIsShare(metric)) return share(value, 4);
  return plain(value) + (metric === 'sqnr' ? ' dB' : '');
}

const dropWords = (metric, drop) =>
  metricIsShare(metric) ? fixed(100 * drop, 2) + ' points' : plain(drop);

// "−12 %"; empty where a change has no meaning.
function change(before, after) {
  const [b, a] = [numberOf(before), numberOf(after)];
  if (b === undefined || a === undefined || b === 0) return '';
  const percent = 100 * (a / b - 1);
  const size = Math.abs(percent);
  if (size < 0.05) return '±0 %';
  return `${percent < 0 ? '−' : '+'}${fixed(size, size < 10 ? 1 : 0)} %`;
}

// The model that another was compared with or made from, and the one that the report is about.
const modelBefore = [get(report, 'models', 'against'),
  isObject(get(report, 'model_out')) ? get(report, 'model') : null].find(isObject) ?? null;
const modelAfter = [get(report, 'model_out'), get(report, 'model')].find(isObject) ?? onlyModel();

// Of a sweep over one model.
function onlyModel() {
  const others = Object.entries(get(report, 'models') ?? {}).filter(([role]) => role !== 'against');
  return others.length === 1 ? others[0][1] : null;
}

function caseModel(row) {
  const hash = get(row, 'model_sha256');
  const models = [get(report, 'model'), get(report, 'model_out'),
    ...Object.values(get(report, 'models') ?? {})];
  const model = typeof hash === 'string' ? models.find(one => get(one, 'sha256') === hash)
    : modelAfter;
  return text(model ?? null, 'path_basename') || 'model';
}

const stem = file => file.replace(/(?!^)\.[^.]*$/, '');

// "m.onnx/single"; identifiers of sweeps begin with the model's name already.
function caseName(row) {
  const id = text(row, 'id');
  const model = caseModel(row);
  if (!id) return model;
  return id.includes(model) || id.startsWith(stem(model) + '/') ? id : `${model}/${id}`;
}

const threadsOf = row => num(row, 'threads', 'effective');

// What tells each of these cases from the others, by its id: "int8, batch 4", "torchscript".
function caseLabels(rows) {
  const some = (value, one, more) => value === undefined ? ''
    : `${general(value)} ${value === 1 ? one : more}`;
  const after = (word, value) => value === undefined ? '' : word + general(value);
  const facets = rows.map(row => [stem(caseModel(row)), text(row, 'engine'),
    after('batch ', num(row, 'batch')), some(threadsOf(row), 'thread', 'threads'),
    some(num(row, 'streams'), 'stream', 'streams'), text(row, 'scenario'),
    num(row, 'target_qps') === undefined ? '' : general(num(row, 'target_qps')) + '/s']);
  const differs = (facets[0] ?? []).map((_, i) => new Set(facets.map(one => one[i])).size > 1);
  const labels = facets.map(one => joined(one.filter((_, i) => differs[i])));
  const times = countBy(labels, label => label);
  return new Map(rows.map((row, i) =>
    [text(row, 'id'), !labels[i] || times.get(labels[i]) > 1 ? caseName(row) : labels[i]]));
}

function countBy(rows, key) {
  const counts = new Map();
  for (const row of rows) counts.set(key(row), (counts.get(key(row)) ?? 0) + 1);
  return counts;
}
// "bias 1, least-squares 8".
const countsInWords = counts =>
  [...counts].sort(([a], [b]) => a < b ? -1 : 1).map(([word, n]) => `${word} ${n}`).join(', ');

const cases = list(report, 'cases');
const compared = list(report, 'comparison', 'cases');
