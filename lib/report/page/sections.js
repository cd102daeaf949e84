// Sections of every subcommand; each gives nothing when the report has nothing to show in it.

const TIME_METRICS = ['min', 'mean', 'median', 'std', 'max', 'latency', 'first_inference', 'load'];
const isLatency = metric => TIME_METRICS.includes(metric) || /^p\d/.test(metric);

function gateValue(gate, value) {
  const metric = text(gate, 'metric');
  const unit = text(gate, 'unit');
  if (unit === 'of_against') return Number(fixed(100 * value, 2)) + ' %';
  if (unit === 'dB') return decibels(value);
  if (isLatency(metric)) return duration(value);
  if (unit === 'bytes' || ['size', 'weights', 'arena', 'peak_memory'].includes(metric))
    return bytes(Math.round(value));
  if (unit === 'J') return general(1e3 * value, 4) + ' mJ';
  if (unit === 'count') return Math.round(value).toLocaleString('en-US');
  if (unit === 'C') return fixed(value, 1) + ' °C';
  if (metric === 'speedup') return ratio(value);
  if (['throughput', 'goodput'].includes(metric)) return plain(value) + '/s';
  if (['accuracy', 'coverage', 'cpu', 'slowdown'].includes(metric)) return share(value, 4);
  if (metric === 'accuracy_drop') return general(100 * value, 3) + ' points';
  return general(value, 5);
}

// What made the case slower: a sentence of its comparison, or the op that lost most.
function blameOf(id) {
  for (const row of compared.filter(one => id === null || get(one, 'id') === id)) {
    const blame = list(row, 'blame').find(one => text(one, 'sentence') && num(one, 'delta_ns') > 0);
    if (blame) return text(blame, 'sentence');
    const deltas = list(row, 'op_deltas').filter(one => num(one, 'delta_ns') > 0);
    if (!deltas.length) continue;
    const worst = deltas.reduce((a, b) => num(b, 'delta_ns') > num(a, 'delta_ns') ? b : a);
    const [name, type] = [text(worst, 'name'), text(worst, 'type')];
    const what = name && type ? `${name} (${type})` : name || type;
    return `${what} +${duration(num(worst, 'delta_ns'))}`;
  }
  return '';
}

function gateReason(gate) {
  const metric = text(gate, 'metric');
  const timed = isLatency(metric) || ['speedup', 'throughput', 'goodput'].includes(metric);
  const blame = timed && get(gate, 'verdict') === 'fail' ? blameOf(get(gate, 'case')) : '';
  return joined([text(gate, 'reason'), blame && 'slower: ' + blame], '; ');
}

// How far past its limit, as a share of it; a gate without a figure is beyond all others.
function excess(gate) {
  const [observed, limit] = [num(gate, 'observed'), num(gate, 'limit')];
  if (observed === undefined || limit === undefined) return Infinity;
  return Math.abs(observed - limit) / Math.max(Math.abs(limit), 1e-12);
}

// Failed ones first, the largest excess first, then the undecided; many that hold are folded away.
function gates() {
  const gateCell = (gate, key) => orDash(num(gate, key), value => gateValue(gate, value));
  const columns = [
    ['gate', 'w', gate => [code(text(gate, 'id')), grey(text(gate, 'case'))]],
    ['verdict', 'l', gate => verdict(text(gate, 'verdict'))],
    ['observed', 'n', gate =>
      [gateCell(gate, 'observed'), get(gate, 'simulated') === true ? ' (simulated)' : '']],
    ['interval', 'n', gate =>
      orDash(interval(gate), ci => ci.map(value => gateValue(gate, value)).join('–'))],
    ['limit', 'n', gate => [text(gate, 'op'), ' ', gateCell(gate, 'limit')]],
    ['why', 'w', gateReason]];
  const all = list(report, 'gates');
  const open = all.filter(gate => text(gate, 'verdict') !== 'pass');
  const order = gate => ({fail: 0, inconclusive: 1})[text(gate, 'verdict')] ?? 2;
  open.sort((a, b) => order(a) - order(b) ||
    (order(a) < 2 && excess(a) !== excess(b) ? excess(b) - excess(a) : 0));
  const held = all.filter(gate => text(gate, 'verdict') === 'pass');
  const gateTable = rows =>
    table('Each gate with what was measured', columns, rows, {seen: false, stacks: true});
  if (open.length && held.length > 4)
    return [gateTable(open), more(`${held.length} gates hold`, gateTable(held))];
  return gateTable([...open, ...held]);
}

function warnings() {
  const item = (warning, place = '') => [
    html('span', {class: 'v open'}, html('span', {'aria-hidden': true}, '!'),
      ' ' + text(warning, 'code')), ` ${place}${text(warning, 'message')}`,
    text(warning, 'hint') &&
      [html('br'), html('span', {class: 'sub'}, text(warning, 'hint'))]];
  const items = [
    ...list(report, 'warnings').map(warning => item(warning)),
    ...cases.flatMap(row =>
      list(row, 'warnings').map(warning => item(warning, text(row, 'id') + ': '))),
    ...compared.filter(row => text(row, 'note')).map(row =>
      item({code: 'comparison', message: text(row, 'note')}, text(row, 'id') + ': '))];
  if (!items.length) return null;
  const all = bullets({class: 'plain'}, items);
  return items.length > 4 ? more(`${items.length} warnings`, all) : all;
}

// Of a model, or of the only case of a benchmark.
function fit() {
  const found = get(report, 'fit') ?? (cases.length === 1 ? get(cases[0], 'fit') : undefined);
  if (!isObject(found)) return null;
  const kinds = {fits: 'pass', does_not_fit: 'fail', unknown: 'inconclusive'};
  const needed = (line, key) =>
    shown(line, key, text(line, 'unit') === 'bytes' ? bytes : grouped);
  return [
    html('p', {}, verdict(kinds[text(found, 'verdict')]), ` ${text(found, 'profile')}`),
    table('What the device has', [['', 'l', line => text(line, 'what')],
      ['', 'l', line => verdict(kinds[text(line, 'verdict')])],
      ['needed', 'n', line => needed(line, 'need')], ['there', 'n', line => needed(line, 'limit')],
      ['what it is made of', 'w', line => text(line, 'text')]], list(found, 'lines'),
    {seen: false}),
    table('Alive at the peak', [['node', 'w', part => nameAndType(
      text(part, 'node') || text(part, 'value'), text(part, 'type'))],
    ['size', 'n', part => showBytes(part, 'bytes')]], list(found, 'peak', 'buffers')),
    table('What would help, estimated', [['change', 'l', row => text(row, 'what')],
      ['RAM', 'n', row => showBytes(row, 'ram_bytes')],
      ['flash', 'n', row => showBytes(row, 'flash_bytes')],
      ['', 'l', row => get(row, 'fits') === true ? verdict('pass') : '']], list(found, 'changes'))];
}

// Every row of `quality` is the metric of a stage, too.
const stages = list(report, 'stages');
const stagesSayQuality = stages.length > 0 &&
  list(report, 'quality').every(row => get(row, 'metric') === get(stages.at(-1), 'metric'));

function quality() {
  if (stagesSayQuality) return null;
  return table('Quality', [
    ['metric', 'l', row => text(row, 'metric')],
    ['before', 'n', row => showMetric(row, 'before')],
    ['after', 'n', row => showMetric(row, 'after')],
    ['drop', 'n', row => shown(row, 'drop', value => dropWords(text(row, 'metric'), value))],
    ['samples', 'n', row => showNumber(row, 'samples')]], list(report, 'quality'), {seen: false});
}

const MODEL_ROWS = [['file', 'file_bytes', showBytes], ['weights', 'weights_bytes', showBytes],
  ['parameters', 'params', showNumber], ['multiply-adds', 'macs', showNumber],
  ['nodes', 'nodes', showNumber], ['opset', 'opset', showNumber]];

function models() {
  if (!isObject(modelAfter)) return null;
  const two = isObject(modelBefore);
  const rows = MODEL_ROWS.filter(([, key]) =>
    num(modelAfter, key) !== undefined || num(modelBefore, key) !== undefined);
  const column = model =>
    [text(model, 'path_basename'), 'n', ([, key, show]) => show(model, key)];
  const changed = ['change', 'n', ([name, key]) =>
    name === 'opset' ? '' : change(get(modelBefore, key), get(modelAfter, key)) || '–'];
  const columns = [['', 'l', ([name]) => name], ...(two ? [column(modelBefore)] : []),
    column(modelAfter), ...(two ? [changed] : [])];
  return [table('Model', columns, rows, {seen: false}), two ? opChanges() : null];
}

function opChanges() {
  const ops = [modelBefore, modelAfter].map(model => get(model, 'ops') ?? {});
  const number = (i, name) => num(ops[i], name) ?? 0;
  const names = [...new Set(ops.flatMap(Object.keys))].sort()
    .filter(name => number(0, name) !== number(1, name));
  return table('Nodes by operator', [['operator', 'l', name => text(name)],
    ['before', 'n', name => grouped(number(0, name))],
    ['after', 'n', name => grouped(number(1, name))]], names);
}

function plan() {
  const observers = countBy(list(report, 'plan', 'values'), row => text(row, 'observer'));
  observers.delete('');
  const coverage = text(report, 'quantize', 'coverage');
  return [coverage && html('p', {}, coverage),
    table('Left in float', [['node', 'w', row => text(row, 'node')],
      ['operator', 'l', row => text(row, 'node_type')],
      ['why', 'w', row => text(row, 'reason')]], list(report, 'plan', 'exceptions')),
    noteIf(observers.size, `Ranges by observer: ${countsInWords(observers)}.`)];
}

function verification() {
  const found = get(report, 'verification');
  if (!isObject(found)) return null;
  const verified = get(found, 'verified') === true;
  const tolerance = num(found, 'tolerance');
  return [
    html('p', {}, verdict(verified ? 'pass' : 'fail'), ' ',
      joined([verified ? 'Before and after agree' : 'Not verified', text(found, 'failure')], ': ')),
    errorTable(list(found, 'outputs'), 'Each output, before and after', false, 50),
    html('p', {class: 'note'}, showNumber(found, 'samples'), ' samples, inputs: ',
      text(found, 'inputs'), tolerance === undefined ? '.' : `, allowed ${general(tolerance)}.`)];
}

function passes() {
  const sums = new Map();
  for (const row of list(report, 'steps')) {
    const name = text(row, 'pass');
    if (!sums.has(name)) sums.set(name, {name, changes: 0, ms: 0, runs: 0, skipped: ''});
    const sum = sums.get(name);
    sum.changes += num(row, 'changes') ?? 0;
    sum.ms += num(row, 'ms') ?? 0;
    ++sum.runs;
    sum.skipped ||= text(row, 'skipped');
  }
  const idle = [...sums.values()].filter(sum => sum.changes === 0)
    .map(({name, skipped}) => name + (skipped ? ` (${skipped})` : ''));
  return [
    table('Passes that changed something', [['pass', 'l', sum => sum.name],
      ['changes', 'n', sum => whole(sum.changes)], ['runs', 'n', sum => String(sum.runs)],
      ['time', 'n', sum => duration(1e6 * sum.ms)]],
    [...sums.values()].filter(sum => sum.changes !== 0)),
    noteIf(idle.length, `Nothing to do for: ${idle.join(', ')}.`)];
}

function host() {
  const machine = get(report, 'host');
  const profile = get(report, 'device_profile');
  const rows = [];
  if (isObject(machine)) {
    const noise = get(machine, 'noise');
    const percent = (value, digits) => value === undefined ? '' : general(value, digits) + ' %';
    const width = num(noise, 'aa_half_width');
    rows.push(['processor', text(machine, 'cpu', 'model')],
      ['instructions', list(machine, 'cpu', 'isa').map(name => text(name)).join(' ')],
      ['usable CPUs', showNumber(machine, 'cpus_usable')],
      ['memory', showBytes(machine, 'mem_bytes')],
      ['system', ['os', 'kernel', 'virt'].map(key => text(machine, key)).join(', ')],
      ...['governor', 'turbo', 'aslr', 'cgroup_quota'].map(key =>
        [key, get(machine, key) === null ? shown(machine, key) : text(machine, key)]),
      ['noise floor (A/A)', width === undefined ? text(noise, 'aa_half_width_reason')
        : `± ${share(width, 2)}`],
      ['stolen time', percent(num(noise, 'steal_pct'), 2)],
      ['CPU pressure', percent(num(noise, 'psi_cpu'), 3)],
      ['fingerprint', text(machine, 'fingerprint')]);
  }
  if (isObject(profile))
    rows.push(['device profile', text(profile, 'name') +
      (get(profile, 'simulated') === true ? ' (simulated)' : '')]);
  return table('Where it ran', [['', 'l', row => row[0]], ['', 'w', row => row[1]]],
    rows.filter(row => row[1]), {seen: false});
}

// As a shell reads it.
function quoted(argument) {
  const safe = argument && !/[ '"\\$`&|;<>()*?#~!]/.test(argument);
  return safe ? argument : `'${argument.replaceAll('\'', '\'\\\'\'')}'`;
}

function run() {
  const recipe = get(report, 'recipe');
  const command = list(report, 'run', 'argv').map(argument => quoted(text(argument)));
  return html('details', {}, html('summary', {}, 'How to repeat it'),
    html('pre', {}, ['lathe', ...command].join(' ')),
    note('The report\'s recipe does the same: save it and give it to --config.'),
    isObject(recipe) ? html('pre', {}, JSON.stringify(recipe, null, 2)) : null,
    table('Files that were written', [['kind', 'l', row => text(row, 'kind')],
      ['path', 'w', row => text(row, 'path')], ['size', 'n', row => showBytes(row, 'bytes')],
      ['SHA-256', 'w', row => code(text(row, 'sha256'))]], list(report, 'artifacts')));
}
