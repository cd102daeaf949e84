// Pieces of the page. What comes from the report only ever becomes text or an attribute's value.

const MOST_ROWS = 200;

function append(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes ?? {})) element.setAttribute(key, value);
  element.append(...children.flat(Infinity).filter(child => child ?? false));
  return element;
}
const html = (tag, attributes, ...children) =>
  append(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) =>
  append(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);

const note = words => html('p', {class: 'note'}, words);
const noteIf = (condition, words) => condition ? note(words) : null;
const bullets = (kind, items) => html('ul', kind, items.map(item => html('li', {}, item)));
const grey = words => words ? [' ', html('span', {class: 'note'}, words)] : [];
const code = words => html('code', {}, words);
const more = (summary, ...content) =>
  html('details', {class: 'more'}, html('summary', {}, summary), content);

// At most so many letters: the middle becomes "…", because names differ at their ends.
function shortened(words, most) {
  const letters = [...words];
  if (letters.length <= most) return words;
  const tail = Math.floor((most - 1) * 2 / 3);
  return letters.slice(0, most - 1 - tail).join('') + '…' + letters.slice(-tail).join('');
}

// A name from a model, which may break after / . _ and -.
function nameOf(words, most = 60) {
  const shown = shortened(words, most);
  const parts = shown.split(/(?<=[/._-])/).flatMap((part, i) => i ? [html('wbr'), part] : [part]);
  return shown === words ? parts : html('span', {title: words}, parts);
}
const nameAndType = (words, type, most) => [nameOf(words, most), grey(type)];

// A bar of `part` (0 to 1) of its cell that begins at `from`.
function bar(part, from = 0, kind = '') {
  const left = Math.min(Math.max(from, 0), 1);
  const width = Math.min(Math.max(part, 0), 1 - left);
  const style = `margin-left:${fixed(100 * left, 2)}%;width:${fixed(100 * width, 2)}%`;
  return html('span', {class: 'track'}, html('span', {class: 'bar ' + kind, style}));
}

const VERDICTS = {pass: ['✓', 'pass'], improved: ['✓', 'pass'], stable: ['✓', 'pass'],
  fail: ['✗', 'fail'], error: ['✗', 'fail'], regressed: ['✗', 'fail'],
  inconclusive: ['?', 'open'], 'not converged': ['?', 'open']};

function verdict(word) {
  const [sign, kind] = Object.hasOwn(VERDICTS, word) ? VERDICTS[word] : ['–', 'none'];
  return html('span', {class: 'v ' + kind}, html('span', {'aria-hidden': true}, sign), ' ' + word);
}

// A figure, or "–" with the reason of its absence as title.
function shown(object, key, words) {
  const value = num(object, key);
  if (value !== undefined) return words(value);
  const title = text(object, key + '_reason');
  return title ? html('span', {title}, '–') : '–';
}
const showTime = (object, key) => shown(object, key, duration);
const showBytes = (object, key) => shown(object, key, bytes);
const showNumber = (object, key) => shown(object, key, grouped);
const showCount = (object, key) => shown(object, key, count);
const showDecibels = (object, key) => shown(object, key, decibels);
const showMetric = (row, key) => shown(row, key, value => metricWords(text(row, 'metric'), value));
const orDash = (value, words) => value === undefined ? '–' : words(value);

// A table that scrolls by itself when it is wider than the page; nothing without rows. A column is
// [heading, kind, cell of a row]; kinds: l text, n number, w text that may wrap. Not `seen`: the
// heading above says the caption already. `stacks`: on a phone each row becomes a block of lines.
function table(caption, columns, rows, {seen = true, stacks = false} = {}) {
  if (!rows.length) return null;
  const kind = k => k === 'l' ? {} : {class: k};
  const cells = row => columns.map(([head, k, cell], i) => i === 0
    ? html('th', {scope: 'row', ...kind(k)}, cell(row))
    : html('td', {...kind(k), ...(stacks ? {'data-l': head} : {})}, cell(row)));
  const heads = columns.map(([head, k]) => html('th', {scope: 'col', ...kind(k)}, head));
  const title = html('caption', seen ? {} : {class: 'unseen'}, html('span', {}, caption));
  return [
    html('div', {class: 'scroll', tabindex: 0, role: 'group', 'aria-label': caption},
      html('table', stacks ? {class: 'stack'} : {}, title,
        columns.some(([head]) => head) ? html('thead', {}, html('tr', {}, heads)) : null,
        html('tbody', {}, rows.slice(0, MOST_ROWS).map(row => html('tr', {}, cells(row)))))),
    noteIf(rows.length > MOST_ROWS,
      `${rows.length - MOST_ROWS} more rows are in the JSON report.`)];
}

// The first rows, the others folded away.
function foldedTable(seen, what, caption, columns, rows, options) {
  if (rows.length <= seen + 3) return table(caption, columns, rows, options);
  return [table(caption, columns, rows.slice(0, seen), options),
    more(`${rows.length - seen} ${what}`, table(caption, columns, rows.slice(seen), options))];
}
