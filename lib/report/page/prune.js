// Of prune and distill: what is left at each stage, sizes, speed, which channels and weights went,
// and repair.

const SEEN_GROUPS = 24, REPAIR_ROWS = 12;

// Bars of the metric where there is one, of the outputs' SQNR otherwise (60 dB and more is full).
function allStages() {
  const measured = stages.find(row => num(row, 'value') !== undefined);
  const metric = measured ? text(measured, 'metric') : '';
  const most = Math.max(0, ...stages.map(row => num(row, 'value') ?? 0));
  const part = row => {
    const [value, level] = [num(row, 'value'), num(row, 'output_sqnr_db')];
    if (metric) return value !== undefined && most > 0 ? bar(value / most) : '';
    return level === undefined ? '' : bar(level / 60);
  };
  const own = row => metric && text(row, 'metric') !== metric ? text(row, 'metric') : '';
  return table('What is left of the quality at each stage', [
    ['stage', 'l', row => [text(row, 'stage'), grey(own(row))]],
    [metric || 'metric', 'n', row => showMetric(row, 'value')],
    ['', 'l', part],
    ['drop', 'n', row => orDash(num(row, 'drop'), drop => dropWords(text(row, 'metric'), drop))],
    ['output SQNR', 'n', row => orDash(num(row, 'output_sqnr_db'), decibels)],
    ['samples', 'n', row => showNumber(row, 'samples')],
    ['time', 'n', row => num(row, 'seconds') > 0 ? duration(1e9 * num(row, 'seconds')) : '–']],
  stages, {seen: false});
}

const SIZE_ROWS = [['parameters', 'params', showCount], ['multiply-adds', 'macs', showCount],
  ['file', 'file_bytes', showBytes], ['file, compressed', 'compressed_bytes', showBytes],
  ['weights', 'weights_bytes', showBytes], ['activation memory', 'arena_bytes', showBytes]];
const sizeBefore = get(report, 'sizes', 'before');
const sizeAfter = get(report, 'sizes', 'after');

// What is left of a size, as a share; undefined where it has no meaning.
function left(key) {
  const [before, after] = [num(sizeBefore, key), num(sizeAfter, key)];
  return before > 0 && after !== undefined ? after / before : undefined;
}

function sizes() {
  return table('Sizes', [['', 'l', ([name]) => name],
    ['before', 'n', ([, key, show]) => show(sizeBefore, key)],
    ['after', 'n', ([, key, show]) => show(sizeAfter, key)],
    ['left', 'n', ([, key]) => orDash(left(key), share)],
    ['', 'l', ([, key]) => left(key) === undefined ? '' : bar(left(key))]],
  SIZE_ROWS.filter(([, key]) =>
    num(sizeBefore, key) !== undefined || num(sizeAfter, key) !== undefined), {seen: false});
}

// The pairs of runs say faster and the medians slower, or the other way round.
const mediansDisagree = row =>
  (num(row, 'before_ns') - num(row, 'after_ns')) * (num(row, 'speedup') - 1) < 0;
const isSimulated = row => get(row, 'simulated') === true;

function latency() {
  const rows = list(report, 'latency');
  const reason = row => joined([text(row, 'note'),
    mediansDisagree(row) && 'times and ratio disagree: the machine was busy'], '; ');
  const speedup = row => {
    const ci = interval(row);
    return orDash(num(row, 'speedup'), value =>
      ratio(value) + (ci ? ` (${general(ci[0], 3)}–${general(ci[1], 3)})` : ''));
  };
  const paired = rows.some(row => num(row, 'speedup') !== undefined && interval(row));
  return [table('Time of one inference, before and after', [
    ['engine', 'l', row => [text(row, 'engine'), grey(isSimulated(row) && 'simulated')]],
    ['threads', 'n', row => showNumber(row, 'threads')],
    ['before', 'n', row => showTime(row, 'before_ns')],
    ['after', 'n', row => showTime(row, 'after_ns')],
    ['speed-up', 'n', speedup], ['note', 'w', reason]], rows, {seen: false, stacks: true}),
  noteIf(paired, 'Before and after are of undisturbed runs (the 15th percentile). The speed-up ' +
    'with its 95 % interval is of runs in turns, which other work on the machine moves less.'),
  noteIf(rows.some(isSimulated),
    'Simulated: computed from the device profile\'s rates, not measured.')];
}

function notes() {
  const items = list(report, 'notes').map(one => text(one)).filter(Boolean);
  return items.length ? bullets({class: 'plain'}, items) : null;
}

// "Structure channel, criterion l1, scope layer; asked for a sparsity of 30 %."
function planSentence() {
  const what = ['structure', 'criterion', 'scope'].filter(key => text(report, 'plan', key))
    .map(key => `${key} ${text(report, 'plan', key)}`).join(', ').replace(/^s(?=tructure)/, 'S');
  const target = get(report, 'plan', 'target');
  const kind = text(target, 'kind');
  const asked = orDash(num(target, 'share'), part =>
    kind === 'budget' ? `asked for at most ${share(part)} of ${text(target, 'metric')}`
      : kind === 'max-drop' ? `asked for a drop of at most ${share(part)}`
        : `asked for a ${kind} of ${share(part)}`);
  const cost = num(report, 'plan', 'cost_share');
  const words = joined([joined([what, asked !== '–' && asked], '; '),
    cost < 1 && `${share(cost)} is left`]);
  return noteIf(words, words + '.');
}

// In grey: the group was not touched.
const greyBar = () => html('span', {class: 'track'}, html('span', {class: 'bar b5'}));

function groupTables() {
  const rows = list(report, 'plan', 'groups').map(row => {
    const size = num(row, 'size') ?? 0;
    return {row, size, kept: num(row, 'kept') ?? size, name: text(row, 'group'),
      why: joined([text(row, 'reason'), text(row, 'note')], '; ')};
  });
  const pruned = rows.filter(one => get(one.row, 'prunable') !== false);
  const untouched = rows.filter(one => get(one.row, 'prunable') === false);
  const sum = key => pruned.reduce((total, one) => total + one[key], 0);
  const group = ['group', 'w', one => nameOf(one.name, 40)];
  const why = head => [head, 'w', one => one.why];
  const alone = untouched.length || (num(report, 'plan', 'blocked') ?? 0);
  const heading = `${counted(alone, 'group')} ${alone === 1 ? 'was' : 'were'} left alone`;
  const aloneTable = table('Groups that were left alone, and why', [
    ['group', 'w', one => html('span', {class: 'sub'}, nameOf(one.name, 40))],
    ['channels', 'n', one => showNumber(one.row, 'size')], ['', 'l', greyBar], why('why')],
  untouched, {seen: false});
  const described = rows.filter(one => text(one.row, 'description'));
  return [
    sum('size') > 0 ? html('p', {}, `${count(sum('kept'))} of ${count(sum('size'))} channels of ` +
      `${counted(pruned.length, 'group')} stay (${share(sum('kept') / sum('size'))}).`) : null,
    foldedTable(SEEN_GROUPS, 'more groups', 'Channels that stay in each group', [group,
      ['stay', 'n', one => `${whole(one.kept)} of ${whole(one.size)}`],
      ['', 'l', one => one.kept < one.size ? bar(one.kept / one.size) : greyBar()],
      ...(pruned.some(one => one.why) ? [why('note')] : [])], pruned),
    untouched.length > 6 ? more(heading, aloneTable)
      : alone > 0 ? [note(heading + '.'), aloneTable] : null,
    described.length ? more('What the groups are', table('What each group is',
      [group, ['in words', 'w', one => text(one.row, 'description')]], described, {seen: false}))
      : null].flat().filter(Boolean);
}

function zeroTable() {
  const rows = list(report, 'plan', 'weights').map(row =>
    ({row, all: num(row, 'elements') ?? 0, zeros: num(row, 'zeros') ?? 0}))
    .filter(one => one.all > 0);
  const sum = key => rows.reduce((total, one) => total + one[key], 0);
  if (sum('zeros') <= 0) return [];
  return [
    html('p', {}, `${count(sum('zeros'))} of ${count(sum('all'))} weights are zero ` +
      `(${share(sum('zeros') / sum('all'))}).`),
    foldedTable(SEEN_GROUPS, 'more weights', 'Zeros in each weight', [
      ['node', 'w', one => nameOf(text(one.row, 'node') || text(one.row, 'constant'), 40)],
      ['zeros', 'n', one => share(one.zeros / one.all)],
      ['', 'l', one => bar(one.zeros / one.all)],
      ['of', 'n', one => showCount(one.row, 'elements')]], rows)];
}

function whatStays() {
  const tables = [...groupTables(), ...zeroTable()];
  return tables.length ? [tables, planSentence()] : null;
}

function repair() {
  const rows = list(report, 'repair').map(row => ({row, name: text(row, 'node'),
    before: num(row, 'error_before') ?? 0, after: num(row, 'error_after') ?? 0}))
    .sort((a, b) => b.before - a.before);
  if (!rows.length) return null;
  const error = value => general(value, 3);
  const worst = rows.slice(0, REPAIR_ROWS).map(({name, before, after}) =>
    ({name, low: Math.min(before, after), high: Math.max(before, after), inner: [after, after],
      mark: after, words: `${error(before)} → ${error(after)}`}));
  const methods = countBy(rows, one => text(one.row, 'method') || 'unknown');
  return [
    ranges({title: 'Worst layers before and after repair: the dot is what is left', rows: worst,
      x: {label: 'squared error of the layer\'s output, relative', words: plain,
        log: worst.every(one => one.low > 0)},
      description: worst.map(one => `${one.name}: ${one.words}. `).join('')}),
    note(`Layers by method: ${countsInWords(methods)}.`),
    more('All layers', table('Layers by their error before repair', [
      ['layer', 'w', one => nameAndType(one.name, text(one.row, 'node_type'), 44)],
      ['before', 'n', one => error(one.before)], ['after', 'n', one => error(one.after)],
      ['method', 'l', one => text(one.row, 'method')],
      ['rows', 'n', one => showNumber(one.row, 'rows')],
      ['note', 'w', one => text(one.row, 'note')]], rows))];
}
