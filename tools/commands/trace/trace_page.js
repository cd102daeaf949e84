// Draws the events of the element "data" on the canvas "timeline".
// data: {names, threads: [text], depths: [lanes of each thread], end, events: [thread, depth,
// start, duration, self, name, op, …], counters: [{name, times, values}]}; nanoseconds.
'use strict';
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const canvas = document.getElementById('timeline');
  const detail = document.getElementById('detail');
  const find = document.getElementById('find');
  const pen = canvas.getContext('2d');
  const F = 7, ROW = 20, HEAD = 22, CHART = 46, AXIS = 24;
  const count = data.events.length / F;
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const whole = Math.max(1, data.end);
  let from = 0, to = whole, width = 0, chosen = -1, wanted = '';

  let y = AXIS;
  const charts = data.counters.map(c => { const top = y; y += CHART; return {...c, top}; });
  const tops = data.threads.map((_, i) => { const top = y; y += HEAD + ROW * data.depths[i]; return top; });
  const height = y + 4;

  // Events of each lane in order of their start: the visible ones are found by halving.
  const lanes = new Map();
  for (let i = 0; i < count; ++i) {
    const key = data.events[i * F] * 4096 + data.events[i * F + 1];
    if (!lanes.has(key)) lanes.set(key, []);
    lanes.get(key).push(i);
  }
  const start = i => data.events[i * F + 2], length = i => data.events[i * F + 3];
  const name = i => data.names[data.events[i * F + 5]], op = i => data.names[data.events[i * F + 6]];

  const time = ns => ns >= 1e9 ? (ns / 1e9).toFixed(3) + ' s' : ns >= 1e6 ? (ns / 1e6).toFixed(3) +
    ' ms' : ns >= 1e3 ? (ns / 1e3).toFixed(2) + ' µs' : Math.round(ns) + ' ns';
  const hues = new Map();
  const color = i => {
    const key = op(i) || name(i);
    if (!hues.has(key)) {
      let hash = 2166136261;
      for (let k = 0; k < key.length; ++k) hash = Math.imul(hash ^ key.charCodeAt(k), 16777619);
      hues.set(key, (hash >>> 0) % 360);
    }
    return `hsl(${hues.get(key)} ${dark.matches ? '40% 32%' : '60% 78%'})`;
  };
  const matches = i => wanted && (name(i) + ' ' + op(i)).toLowerCase().includes(wanted);
  const style = key => getComputedStyle(document.documentElement).getPropertyValue(key);
  const x = t => (t - from) / (to - from) * width;

  function axis() {
    const raw = (to - from) / Math.max(2, width / 110);
    const base = 10 ** Math.floor(Math.log10(raw));
    const step = base * [1, 2, 5, 10].find(k => k * base >= raw);
    pen.fillStyle = style('--dim'); pen.strokeStyle = style('--line');
    for (let t = Math.ceil(from / step) * step; t < to; t += step) {
      pen.beginPath(); pen.moveTo(x(t), AXIS - 6); pen.lineTo(x(t), height); pen.stroke();
      pen.fillText(time(t), x(t) + 3, 11);
    }
  }
  function chart(c) {
    const top = Math.max(...c.values), low = Math.min(0, ...c.values);
    const place = v => c.top + CHART - 4 - (v - low) / Math.max(1e-9, top - low) * (CHART - 20);
    pen.strokeStyle = style('--c0'); pen.beginPath();
    for (let i = 0; i < c.times.length; ++i) {
      pen.lineTo(x(c.times[i]), place(c.values[Math.max(0, i - 1)]));
      pen.lineTo(x(c.times[i]), place(c.values[i]));
    }
    pen.lineTo(width, place(c.values[c.values.length - 1])); pen.stroke();
    pen.fillStyle = style('--dim');
    pen.fillText(c.name + ', at most ' + top.toLocaleString('en'), 4, c.top + 8);
  }
  function lane(list, top) {
    let low = 0, high = list.length;
    while (low < high) { const mid = (low + high) >> 1; if (start(list[mid]) + length(list[mid]) < from) low = mid + 1; else high = mid; }
    let drawn = -1;
    for (let k = low; k < list.length && start(list[k]) <= to; ++k) {
      const i = list[k], left = Math.max(-1, x(start(i))), right = Math.min(width + 1, x(start(i) + length(i)));
      const hit = matches(i);
      if (right < drawn + 0.5 && !hit && i !== chosen) continue;
      const wide = Math.max(1, right - left);
      drawn = left + wide;
      pen.globalAlpha = wanted && !hit ? 0.25 : 1;
      pen.fillStyle = color(i);
      pen.fillRect(left, top, Math.max(0.75, wide - (wide > 3 ? 1 : 0)), ROW - 2);
      if (i === chosen || hit) { pen.strokeStyle = style('--c0'); pen.strokeRect(left + 0.5, top + 0.5, wide - 1, ROW - 3); }
      if (wide > 34) {
        pen.save(); pen.beginPath(); pen.rect(left, top, wide - 3, ROW); pen.clip();
        pen.fillStyle = style('--ink'); pen.fillText(name(i), Math.max(left, 0) + 4, top + ROW / 2 - 1); pen.restore();
      }
      pen.globalAlpha = 1;
    }
  }
  function draw() {
    const scale = devicePixelRatio || 1;
    width = canvas.clientWidth;
    canvas.width = width * scale; canvas.height = height * scale; canvas.style.height = height + 'px';
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.font = '12px system-ui, sans-serif'; pen.textBaseline = 'middle';
    pen.clearRect(0, 0, width, height);
    axis();
    charts.forEach(chart);
    data.threads.forEach((text, t) => { pen.fillStyle = style('--dim'); pen.fillText(text, 4, tops[t] + HEAD / 2); });
    for (const [key, list] of lanes) lane(list, tops[Math.floor(key / 4096)] + HEAD + ROW * (key % 4096));
  }
  let queued = false;
  const redraw = () => { if (!queued) { queued = true; requestAnimationFrame(() => { queued = false; draw(); }); } };
  function view(a, b) {
    const span = Math.min(whole, Math.max(10, b - a));
    from = Math.min(Math.max(0, a), whole - span); to = from + span; redraw();
  }
  const zoom = (factor, at) => view(at - (at - from) * factor, at + (to - at) * factor);
  const at = px => from + px / width * (to - from);

  function choose(px, py) {
    chosen = -1;
    for (const [key, list] of lanes) {
      const top = tops[Math.floor(key / 4096)] + HEAD + ROW * (key % 4096);
      if (py < top || py >= top + ROW) continue;
      const slack = 3 / width * (to - from);
      let best = Infinity;
      for (const i of list) {
        const away = Math.max(start(i) - at(px), at(px) - start(i) - length(i), 0);
        if (away <= slack && away < best) { best = away; chosen = i; }
      }
    }
    detail.textContent = chosen < 0 ? '' : name(chosen) + (op(chosen) ? ' (' + op(chosen) + ')' : '') +
      '\n' + time(length(chosen)) + ', itself ' + time(data.events[chosen * F + 4]) +
      ', starts at ' + time(start(chosen)) + ', ' + data.threads[data.events[chosen * F]];
    redraw();
  }

  const touches = new Map();
  let moved = false;
  const offset = e => { const r = canvas.getBoundingClientRect(); return [e.clientX - r.left, e.clientY - r.top]; };
  canvas.addEventListener('pointerdown', e => { touches.set(e.pointerId, offset(e)); moved = false; canvas.setPointerCapture(e.pointerId); });
  canvas.addEventListener('pointermove', e => {
    if (!touches.has(e.pointerId)) return;
    const before = touches.get(e.pointerId), now = offset(e);
    if (touches.size === 1) {
      if (Math.abs(now[0] - before[0]) < 3 && !moved) return;
      const shift = (before[0] - now[0]) / width * (to - from);
      moved = true; view(from + shift, to + shift);
    } else {
      const other = [...touches.entries()].find(t => t[0] !== e.pointerId)[1];
      const old = Math.abs(before[0] - other[0]), gap = Math.abs(now[0] - other[0]);
      moved = true;
      if (old > 8 && gap > 8) zoom(old / gap, at((now[0] + other[0]) / 2));
    }
    touches.set(e.pointerId, now);
  });
  canvas.addEventListener('pointerup', e => { touches.delete(e.pointerId); if (!moved) choose(...offset(e)); });
  canvas.addEventListener('pointercancel', e => touches.delete(e.pointerId));
  canvas.addEventListener('wheel', e => {
    if (e.shiftKey) return;
    e.preventDefault();
    if (Math.abs(e.deltaX) > Math.abs(e.deltaY)) { const s = e.deltaX / width * (to - from); view(from + s, to + s); }
    else zoom(e.deltaY > 0 ? 1.25 : 0.8, at(offset(e)[0]));
  }, {passive: false});
  canvas.addEventListener('keydown', e => {
    const step = (to - from) / 5;
    const moves = {ArrowLeft: () => view(from - step, to - step), ArrowRight: () => view(from + step, to + step),
      '+': () => zoom(0.5, (from + to) / 2), '-': () => zoom(2, (from + to) / 2), '0': () => view(0, whole)};
    if (moves[e.key]) { e.preventDefault(); moves[e.key](); }
  });
  document.getElementById('in').onclick = () => zoom(0.5, (from + to) / 2);
  document.getElementById('out').onclick = () => zoom(2, (from + to) / 2);
  document.getElementById('all').onclick = () => view(0, whole);
  find.addEventListener('input', () => { wanted = find.value.trim().toLowerCase(); redraw(); });
  find.addEventListener('keydown', e => {
    if (e.key !== 'Enter' || !wanted) return;
    for (let k = 1; k <= count; ++k) {
      const i = (Math.max(0, chosen) + k) % count;
      if (!matches(i)) continue;
      chosen = i; view(start(i) - length(i) - 1, start(i) + 2 * length(i) + 1);
      detail.textContent = name(i) + '\n' + time(length(i)); return;
    }
  });
  dark.addEventListener('change', redraw);
  addEventListener('resize', redraw);
  draw();
})();
