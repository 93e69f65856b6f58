'use strict';
// What the system's zones say, by GNU date.
const { spawnSync } = require('child_process');
const fs = require('fs');
const path = require('path');

const HOUR = 3600;

/** Seconds east of UTC at each of the times. */
function offsets(zone, times) {
  const done = spawnSync('date', ['-f', '-', '+%::z'], {
    env: { ...process.env, TZ: zone }, input: times.map((t) => '@' + t).join('\n') + '\n', encoding: 'utf8', maxBuffer: 1 << 28 });
  if (done.status !== 0) throw new Error(done.stderr);
  return done.stdout.trim().split('\n').map((text) => {
    const [, sign, h, m, s] = /^([+-])(\d+):(\d+):(\d+)$/.exec(text);
    return (sign === '-' ? -1 : 1) * (h * HOUR + m * 60 + +s);
  });
}

/** [{from, to, offset}] between the two times, the first and the last of them without end. */
function spansOf(zone, from, to) {
  const times = [];
  for (let t = from; t <= to; t += 3 * HOUR) times.push(t);
  const all = offsets(zone, times), edges = [];
  for (let i = 1; i < all.length; i++) if (all[i] !== all[i - 1]) edges.push({ low: times[i - 1], high: times[i], was: all[i - 1] });
  while (edges.some((e) => e.high - e.low > 1)) {
    const middles = edges.map((e) => Math.floor((e.low + e.high) / 2)), got = offsets(zone, middles);
    edges.forEach((e, i) => { if (got[i] === e.was) e.low = middles[i]; else e.high = middles[i]; });
  }
  const spans = [{ from: -Infinity, offset: all[0] }];
  const after = edges.length ? offsets(zone, edges.map((e) => e.high)) : [];
  edges.forEach((e, i) => { spans[spans.length - 1].to = e.high; spans.push({ from: e.high, offset: after[i] }); });
  spans[spans.length - 1].to = Infinity;
  return spans;
}

/** [{at, was, is}]: where an offset follows on another. */
const changesOf = (spans) => spans.slice(1).map((span, i) => ({ at: span.from, was: spans[i].offset, is: span.offset }));

/** One name for each different file. */
function distinctZones() {
  const root = '/usr/share/zoneinfo', seen = new Set(), names = [];
  const walk = (folder) => {
    for (const entry of fs.readdirSync(path.join(root, folder)).sort()) {
      const name = path.join(folder, entry), full = path.join(root, name);
      if (['posix', 'right'].includes(name)) continue;
      if (fs.statSync(full).isDirectory()) { walk(name); continue; }
      const bytes = fs.readFileSync(full);
      if (bytes.subarray(0, 4).toString() !== 'TZif' || ['localtime', 'posixrules', 'Factory'].includes(name)) continue;
      const key = bytes.toString('base64');
      if (!seen.has(key)) { seen.add(key); names.push(name); }
    }
  };
  walk('');
  return names;
}

// each kind of change that there is; where a name was given to another file's bytes, the other is there anyway
const ODD = ['Europe/Berlin', 'America/New_York', 'Australia/LHI', 'Africa/Casablanca', 'Europe/Dublin', 'Antarctica/Troll',
  'America/St_Johns', 'Asia/Kathmandu', 'NZ-CHAT', 'Africa/Cairo', 'America/Santiago', 'Asia/Beirut', 'America/Godthab', 'America/Havana'];

/** Those of ODD first, then evenly over the rest. */
function someZones(names, n) {
  const step = Math.max(1, Math.floor(names.length / n));
  return [...new Set([...ODD.filter((z) => names.includes(z)), ...names.filter((_, i) => i % step === 0)])].slice(0, n);
}

module.exports = { spansOf, changesOf, distinctZones, someZones, ODD };
