// Tables of bench: before and after, every case, the comparison, operators, how it was measured.

const percentile = (row, wanted) =>
  list(row, 'latency', 'percentiles').find(one => num(one, 'p') === wanted) ?? null;
const throughput = row => get(row, 'throughput');

function withInterval(object, key) {
  const ci = interval(get(object, key));
  return [showTime(object, key), ci ? grey(ci.map(duration).join(' – ')) : []];
}

const againstOfFirst = () =>
  cases.find(row => get(row, 'id') === 'against/' + text(cases[0], 'id'));

// [name, object of a case, key, shown]
const BEFORE_AFTER = [
  ['median', row => get(row, 'latency'), 'median', withInterval],
  ...['mean', 'min', 'max'].map(key => [key, row => get(row, 'latency'), key, showTime]),
  ...[0.9, 0.95, 0.99, 0.999].map(p =>
    ['p' + general(100 * p), row => percentile(row, p), 'value', showTime]),
  ['items per second', throughput, 'items_per_s', showNumber],
  ['load', row => get(row, 'phases'), 'load_ns', showTime],
  ['prepare', row => get(row, 'phases'), 'compile_ns', showTime],
  ['first inference', row => get(row, 'phases'), 'first_inference_ns', showTime],
  ['arena, planned', row => get(row, 'memory'), 'arena_planned_bytes', showBytes],
  ['peak memory', row => get(row, 'memory'), 'hwm_bytes', showBytes]];

function beforeAfter() {
  const [after, before] = [cases[0], againstOfFirst()];
  if (cases.length !== 2 || !isObject(before)) return null;
  const column = row =>
    [caseModel(row), 'n', ([, part, key, show]) => show(part(row), key)];
  const rows = BEFORE_AFTER.filter(([, part, key]) =>
    get(part(before), key) !== null || get(part(after), key) !== null);
  const method = text(after, 'memory', 'hwm_method');
  return [
    table('Before and after', [['', 'l', ([name]) => name], column(before), column(after),
      ['change', 'n', ([, part, key]) =>
        change(get(part(before), key), get(part(after), key)) || '–']], rows, {seen: false}),
    noteIf(method, `Peak memory: ${method}.`)];
}

function stability(row) {
  const error = text(row, 'error', 'message');
  return error ? [verdict('error'), grey(error)] : verdict(text(row, 'stability', 'verdict'));
}

const onFront = row => Object.values(get(row, 'pareto') ?? {}).includes(true);

// The last: always there, else only when it tells two cases apart.
const CASE_COLUMNS = [
  ['engine', 'l', row => text(row, 'engine')],
  ['batch', 'n', row => showNumber(row, 'batch')],
  ['threads', 'n', row => showNumber(get(row, 'threads'), 'effective')],
  ['samples', 'n', row => showNumber(get(row, 'samples'), 'n'), true],
  ['median', 'n', row => showTime(get(row, 'latency'), 'median'), true],
  ['p95', 'n', row => showTime(percentile(row, 0.95), 'value')],
  ['p99', 'n', row => showTime(percentile(row, 0.99), 'value')],
  ['items/s', 'n', row => showNumber(throughput(row), 'items_per_s'), true],
  ['size', 'n', row => showBytes(row, 'size_bytes')],
  ['peak memory', 'n', row => showBytes(get(row, 'memory'), 'hwm_bytes'), true],
  ['quality', 'n', row =>
    isObject(get(row, 'quality')) ? showMetric(get(row, 'quality'), 'value') : ''],
  ['Pareto', 'l', row => onFront(row) ? 'yes' : ''],
  ['goodput', 'n', row => showNumber(get(row, 'schedule'), 'goodput_qps')],
  ['late', 'n', row => showNumber(get(row, 'schedule'), 'late')],
  ['backlog', 'n', row => showNumber(get(row, 'schedule'), 'max_backlog')],
  ['stability', 'l', stability, true]];

function allCases() {
  if (!cases.length || (cases.length === 2 && isObject(againstOfFirst()))) return null;
  const wordsOf = cell => html('td', {}, cell).textContent;
  const differs = cell => new Set(cases.map(row => wordsOf(cell(row)))).size > 1;
  const columns = CASE_COLUMNS.filter(([, , cell, always]) => always || differs(cell));
  return table('Every case', [['case', 'w', row => nameOf(text(row, 'id') || caseName(row))],
    ...columns], cases, {stacks: true});
}

function comparison() {
  if (!compared.length) return null;
  const names = (key, words) => {
    const all = list(report, 'comparison', key).map(name => text(name)).join(', ');
    return noteIf(all, words + all);
  };
  return [
    table('Time of the model divided by the baseline\'s', [
      ['case', 'w', row => nameOf(text(row, 'id'))],
      ['verdict', 'l', row => verdict(text(row, 'verdict'))],
      ['ratio', 'n', row => orDash(num(row, 'ratio'), plain)],
      ['interval', 'n', row =>
        orDash(interval(get(row, 'ratio')), ci => ci.map(plain).join(' – '))],
      ['threshold', 'n', row => orDash(num(row, 'effective_delta'), delta => share(delta, 2))],
      ['pairs', 'n', row => showNumber(row, 'pairs')]], compared, {stacks: true}),
    names('missing', 'Missing here: '), names('extra', 'Not in the baseline: '),
    note(text(report, 'comparison', 'mode') === 'interleaved'
      ? 'Both models ran in turns, in the same processes. Below 1 is faster.'
      : 'cross_run: the baseline was measured in another run. Below 1 is faster.'),
    note('Threshold: the smallest change that counts, as asked or as fine as this machine can ' +
      'tell.')];
}

function measurement() {
  const warmup = row => {
    const warm = get(row, 'phases', 'warmup');
    if (!isObject(warm)) return '–';
    const converged = get(warm, 'converged') === true;
    return [showNumber(warm, 'iterations'), converged ? '' : ', not converged'];
  };
  const outliers = row => {
    const found = get(row, 'stability', 'outliers');
    return isObject(found) ? [showNumber(found, 'mild'), ' + ', showNumber(found, 'severe')] : '–';
  };
  const signed = value => (value < 0 ? '' : '+') + general(value, 2) + ' %';
  return [
    table('Runs and samples', [
      ['case', 'w', row => nameOf(caseName(row))],
      ['processes', 'n', row => showNumber(get(row, 'samples'), 'n_processes')],
      ['samples', 'n', row => showNumber(get(row, 'samples'), 'n')],
      ['stopped by', 'l', row => text(row, 'samples', 'stop_reason')],
      ['warm-up', 'n', warmup],
      ['drift', 'n', row => orDash(num(row, 'stability', 'drift_pct'), signed)],
      ['outliers', 'n', outliers],
      ['spread (CV)', 'n', row => orDash(num(row, 'latency', 'cv'), cv => share(cv, 2))]],
    cases, {stacks: true}),
    noteIf(cases.length, 'Outliers are counted (mild + severe), never dropped.'),
    table('Inputs', [
      ['name', 'w', row => text(row, 'name')], ['shape', 'l', row => text(row, 'shape')],
      ['type', 'l', row => text(row, 'dtype')], ['source', 'l', row => text(row, 'source')],
      ['samples', 'n', row => showNumber(row, 'count')]], list(report, 'inputs'))];
}

const MOST_OPS = 40, MOST_DELTAS = 20, MOST_PROFILES = 4;

function opName(op) {
  const [name, type] = [text(op, 'name'), text(op, 'type')];
  return nameAndType(name || type, name && type !== name ? type : '', 48);
}

// In the order of execution, each bar where the one before ends; small ones become one row.
function waterfall(row) {
  const profile = get(row, 'profile');
  const ops = list(profile, 'ops')
    .map(op => ({op, ns: num(op, 'total_ns') ?? num(op, 'median_ns')})).filter(one => one.ns >= 0);
  const total = ops.reduce((sum, one) => sum + one.ns, 0);
  if (total <= 0) return null;
  const least = ops.map(one => one.ns).sort((a, b) => b - a)[MOST_OPS - 1] ?? 0;
  const rows = [];
  const small = [];
  let at = 0;
  for (const {op, ns} of ops) {
    if (ns < least || rows.length === MOST_OPS)
      small.push(ns);
    else
      rows.push([opName(op), bar(ns / total, at / total), ns, showNumber(op, 'calls')]);
    at += ns;
  }
  if (small.length) {
    const sum = small.reduce((a, b) => a + b);
    rows.push([`${small.length} smaller ones`, bar(sum / total), sum, '']);
  }
  const overhead = num(profile, 'overhead_ratio');
  const rest = num(profile, 'unattributed_ns');
  return [
    table(`Operators in order, ${caseName(row)}`, [['operator', 'w', one => one[0]],
      ['time line', 'l', one => one[1]], ['time', 'n', one => duration(one[2])],
      ['share', 'n', one => fixed(100 * one[2] / total, 1) + ' %'],
      ['calls', 'n', one => one[3]]], rows),
    note(joined(['A pass of its own measured this, never the timed one',
      overhead !== undefined && `profiling made it ${general(overhead, 3)} times as slow`,
      rest !== undefined && `unattributed ${duration(rest)}`], '; ') + '.')];
}

// "inserted", "was Conv", "fused into conv1".
function changeOf(op) {
  if (text(op, 'from_type')) return 'was ' + text(op, 'from_type');
  return text(op, 'into') ? ['fused into ', nameOf(text(op, 'into'), 48)] : text(op, 'change');
}

function deltas(row) {
  const size = op => Math.abs(num(op, 'delta_ns'));
  const ops = list(row, 'op_deltas').filter(op => num(op, 'delta_ns') !== undefined)
    .sort((a, b) => size(b) - size(a));
  if (!ops.length || size(ops[0]) === 0) return null;
  const slower = op => num(op, 'delta_ns') > 0;
  const blame = list(row, 'blame').map(one => text(one, 'sentence')).filter(Boolean);
  return [
    blame.length ? bullets({}, blame) : null,
    table(`What changed against the baseline, ${text(row, 'id')}`, [
      ['operator', 'w', op => [opName(op), grey(changeOf(op))]],
      ['', 'l', op => bar(size(op) / size(ops[0]), 0, slower(op) ? 'b1' : '')],
      ['time a run', 'n', op => (slower(op) ? '+' : '−') + duration(size(op))]],
    ops.slice(0, MOST_DELTAS)),
    noteIf(ops.length > MOST_DELTAS,
      `${ops.length - MOST_DELTAS} smaller changes are in the JSON report.`)];
}

function operators() {
  const profiles = cases.map(waterfall).filter(Boolean);
  return [compared.map(deltas), profiles.slice(0, MOST_PROFILES),
    noteIf(profiles.length > MOST_PROFILES,
      `${profiles.length - MOST_PROFILES} more profiles are in the JSON report.`)];
}
