'use strict';
// Cron expressions and time zones against other hands:
//   croner, cron-parser   which local times an expression means, and their own idea of the zone
//   GNU date              what the zones say
// node oracle.js CRON_TIMES all|NUMBER [PART/PARTS]   all distinct zones of the system, or so many of them, with one of the
// libraries for each expression (both take long); or one part of them, so that several may run side by side.
//
// An expression is a set of local times; both libraries list it in UTC, where no clock changes, and must agree (but for
// what one of them does not know: TAKEN below). GNU date says when the offset of each zone changes. What a rule makes
// of gaps and repeats is put together here once more, from those two, and compared with lib/model/cron.c: over two
// years by the minute, and by the second within a day of each change for all rules. Then the libraries are asked for
// the zones themselves, with every expression: of all zones within two days of each change and on two days without one, of
// each tenth also by the second within a day of each change, of each hundredth over the two years (without `all`: of each
// second zone about its changes). Where they differ from us it must be at a change, and each kind of difference is counted and has to be one that docs/schedules.md names.
const { spawnSync } = require('child_process');
const fs = require('fs');
const path = require('path');
const { Cron } = require('croner');
const { CronExpressionParser } = require('cron-parser');

const [program, how, which] = process.argv.slice(2);
const YEAR = Date.UTC(2026, 0, 1) / 1000, END = Date.UTC(2028, 0, 1) / 1000, DAY = 86400;
const GAPS = ['auto', 'end', 'skip'], REPEATS = ['auto', 'first', 'second', 'both'];

// [expression, who knows it: c = croner, p = cron-parser]
const MINUTES = [
  ['30 2 * * *', 'cp'], ['0 3 * * *', 'cp'], ['59 1 * * *', 'cp'], ['0 0 * * *', 'cp'], ['30 0,1,2,3 * * *', 'cp'],
  ['*/20 1-3 * * *', 'cp'], ['15 * * * *', 'cp'], ['0 * * * *', 'cp'], ['0 */2 * * *', 'cp'], ['45 23 * * *', 'cp'],
  ['0 9 * * 1-5', 'cp'], ['0 9 * * MON-FRI', 'cp'], ['0 0 1 * *', 'cp'], ['0 0 1,15 * *', 'cp'], ['30 2 * 3,10 *', 'cp'],
  ['30 2 * MAR,OCT SUN', 'cp'], ['0 2 29 2 *', 'cp'], ['0 0 L * *', 'cp'], ['30 1 L * *', 'cp'], ['0 12 15W * *', 'c'],
  ['0 12 1W * *', 'c'], ['0 12 31W * *', 'c'], ['0 12 LW * *', 'c'], ['0 2 * * 0#1', 'cp'], ['0 2 * * 0#2', 'cp'],
  ['0 2 * * 0L', 'cp'], ['0 6 * * 5#5', 'cp'], ['0 0 13 * 5', 'cp'], ['30 3 31 * 1', 'cp'], ['5/20 4 * * *', 'p'],
  ['1-59/2 2 * * 0', 'cp'], ['0 0-6/3 * * *', 'cp'], ['0 0 * * 7', 'cp'], ['0 0 * * FRI-SUN', 'c'], ['*/7 2 * * *', 'cp'],
  ['0 1 */3 * *', 'cp'], ['@daily', 'cp'], ['@weekly', 'cp'], ['@monthly', 'cp'], ['@yearly', 'cp'],
];
const SECONDS = [
  ['*/10 */5 0-3 * * *', 'cp'], ['30 59 * * * *', 'cp'], ['0 30 2 * * *', 'cp'], ['59 59 1,2 * * *', 'cp'], ['0 0 0 * * *', 'cp'],
  ['*/20 * 23,0 * * *', 'cp'],
];

let failures = 0;
const fail = (what) => { if (failures++ < 20) console.log('DIFFERS ' + what); };

// --- local times: the same list by both ------------------------------------------------------------------------------

function byCroner(expression, zone, from, to) {
  const cron = new Cron(expression, { timezone: zone }), out = [];
  for (let d = cron.nextRun(new Date((from - 1) * 1000)); d && d.getTime() / 1000 < to; d = cron.nextRun(d)) {
    const at = d.getTime() / 1000;
    if (!out.length || at > out[out.length - 1]) out.push(at);
    else d = new Date((out[out.length - 1] + 1) * 1000); // it goes round in a gap: on from there
  }
  return out;
}

function byParser(expression, zone, from, to) {
  const cron = CronExpressionParser.parse(expression, { currentDate: new Date((from - 1) * 1000), tz: zone }), out = [];
  for (let at = cron.next().toDate().getTime() / 1000; at < to; at = cron.next().toDate().getTime() / 1000) out.push(at);
  return out;
}

const known = new Map();
/** By both where both know it, or (`one`) by the first that does: both take long. */
function localTimes([expression, who], from, to, one) {
  const key = expression + '\t' + from + '\t' + to;
  if (known.has(key)) return known.get(key);
  const lists = [];
  if (who.includes('c') && (!one || who === 'c')) lists.push(byCroner(expression, 'UTC', from, to));
  if (who.includes('p')) lists.push(byParser(expression, 'UTC', from, to));
  if (lists.length === 2 && String(lists[0]) !== String(lists[1])) fail(expression + ': croner and cron-parser disagree in UTC');
  known.set(key, lists[0]);
  return lists[0];
}

// --- zones: GNU date -----------------------------------------------------------------------------------------------------

function offsets(zone, times) {
  const done = spawnSync('date', ['-f', '-', '+%::z'], {
    env: { ...process.env, TZ: zone }, input: times.map((t) => '@' + t).join('\n') + '\n', encoding: 'utf8', maxBuffer: 1 << 28 });
  if (done.status !== 0) throw new Error(done.stderr);
  return done.stdout.trim().split('\n').map((text) => {
    const [, sign, h, m, s] = /^([+-])(\d+):(\d+):(\d+)$/.exec(text);
    return (sign === '-' ? -1 : 1) * (h * 3600 + m * 60 + +s);
  });
}

/** [{from, to, offset}] over the two years and some days around them. */
function spansOf(zone) {
  const times = [], from = YEAR - 5 * DAY, to = END + 5 * DAY, step = 3 * 3600;
  for (let t = from; t <= to; t += step) times.push(t);
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

// --- the rules, put together once more -------------------------------------------------------------------------------------

function lowerBound(list, x) {
  let low = 0, high = list.length;
  while (low < high) { const m = (low + high) >> 1; if (list[m] < x) low = m + 1; else high = m; }
  return low;
}

const everyHour = (expression) => {
  const fields = expression.split(/\s+/);
  return !expression.startsWith('@') && fields[fields.length - 4].startsWith('*');
};

/** Seconds × 2, + 1 if skipped, in order. */
function expected(expression, local, spans, gap, repeat, from, to) {
  const out = [], free = everyHour(expression);
  const first = repeat === 'first' || repeat === 'both' || repeat === 'auto';
  const second = repeat === 'second' || repeat === 'both' || (repeat === 'auto' && free);
  for (let s = 0; s < spans.length; s++) {
    const span = spans[s], before = spans[s - 1] || span, after = spans[s + 1] || span;
    const begin = Math.max(span.from, from), end = Math.min(span.to, to);
    if (begin >= end) continue;
    if (begin === span.from && before.offset < span.offset && !(gap === 'auto' && free)) {
      const i = lowerBound(local, span.from + before.offset), edge = lowerBound(local, span.from + span.offset);
      if (i < edge && local[edge] !== span.from + span.offset) out.push(span.from * 2 + (gap === 'skip' ? 1 : 0));
    }
    for (let i = lowerBound(local, begin + span.offset); i < local.length && local[i] < end + span.offset; i++) {
      if (local[i] < span.from + before.offset && !second) continue; // the second pass
      if (local[i] >= span.to + after.offset && !first) continue;    // the first pass
      out.push((local[i] - span.offset) * 2);
    }
  }
  return out;
}

function sum(list) {
  let h = 2166136261;
  for (const x of list) h = Math.imul(Math.imul(h ^ (x | 0), 16777619) ^ Math.floor(x / 4294967296), 16777619);
  return list.length + ' ' + (h >>> 0);
}

// --- asking ours, many at a time --------------------------------------------------------------------------------------------

const questions = [];
function ask(zone, gap, repeat, from, to, mode, expression, then) {
  questions.push({ line: [zone, GAPS.indexOf(gap), REPEATS.indexOf(repeat), from, to, mode, expression].join('\t'), then });
  if (questions.length >= 20000) answer();
}
function answer() {
  const done = spawnSync(program, [], { input: questions.map((q) => q.line).join('\n') + '\n', encoding: 'utf8', maxBuffer: 1 << 30 });
  if (done.status !== 0) throw new Error(program + ': ' + done.stderr);
  const lines = done.stdout.split('\n');
  questions.splice(0).forEach((q, i) => q.then(lines[i]));
}

let compared = 0;
function compare(zone, spans, entry, gap, repeat, from, to, local) {
  const want = sum(expected(entry[0], local, spans, gap, repeat, from, to));
  ask(zone, gap, repeat, from, to, 'sum', entry[0], (got) => {
    compared++;
    if (got !== want) fail(`${zone} "${entry[0]}" gap ${gap} repeat ${repeat} from ${from}: ours ${got}, theirs ${want}`);
  });
}

// --- the libraries' own zones -------------------------------------------------------------------------------------------------

const differences = new Map();
let own = 0;
function compareOwn(zone, spans, entry, name, from, to, list) {
  ask(zone, 'auto', 'auto', from, to, 'list', entry[0], (line) => {
    own++;
    const ours = new Set(line ? line.split(' ').map(Number) : []), theirs = new Set(list);
    for (const at of [...ours].filter((t) => !theirs.has(t)).concat(list.filter((t) => !ours.has(t)))) {
      const change = spans.find((s, i) => i && Math.abs(s.from - at) <= DAY);
      if (!change) fail(`${zone} "${entry[0]}": ${name} differs at ${at}, where no clock changes`);
      else {
        const kind = `${name}, ${change.offset > spans[spans.indexOf(change) - 1].offset ? 'gap' : 'repeat'}, ${everyHour(entry[0]) ? 'every hour' : 'fixed hours'}`;
        const known = differences.get(kind) || { n: 0, zones: new Set(), first: `${zone} "${entry[0]}", ${ours.has(at) ? 'ours' : 'theirs'} alone: ${new Date(at * 1000).toISOString()}` };
        known.zones.add(zone);
        differences.set(kind, { ...known, n: known.n + 1 });
      }
    }
  });
}
// docs/schedules.md says what they do there, and why we do not.
const NAMED = ['croner, gap, fixed hours', 'croner, gap, every hour', 'croner, repeat, every hour', 'cron-parser, gap, fixed hours',
  'cron-parser, gap, every hour', 'cron-parser, repeat, every hour', 'croner, repeat, fixed hours',
  'cron-parser, repeat, fixed hours'];

// --- all of it ---------------------------------------------------------------------------------------------------------------------

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

/** Those with a clock change in our two years first, then evenly over the rest. */
function someZones(names, n) {
  const must = ['Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Africa/Casablanca', 'Europe/Dublin', 'Antarctica/Troll',
    'America/St_Johns', 'Asia/Kathmandu', 'Pacific/Chatham', 'Africa/Cairo', 'America/Santiago', 'Asia/Beirut'];
  const step = Math.max(1, Math.floor(names.length / n));
  return [...new Set([...must.filter((z) => names.includes(z)), ...names.filter((_, i) => i % step === 0)])].slice(0, n);
}

const every = distinctZones(), [part, parts] = (which || '1/1').split('/').map(Number);
const zones = (how === 'all' ? every : someZones(every, Number(how))).filter((_, i) => i % parts === part - 1);
const wide = MINUTES.map((e) => localTimes(e, YEAR - 3 * DAY, END + 3 * DAY, how !== 'all'));
for (const zone of zones) {
  const spans = spansOf(zone);
  MINUTES.forEach((e, i) => compare(zone, spans, e, 'auto', 'auto', YEAR, END, wide[i]));
  for (const span of spans.slice(1)) {
    if (span.from < YEAR || span.from > END) continue;
    const day = Math.floor(span.from / DAY) * DAY, from = span.from - DAY, to = span.from + DAY;
    for (const gap of GAPS)
      for (const repeat of REPEATS) {
        MINUTES.forEach((e, i) => compare(zone, spans, e, gap, repeat, from, to, wide[i]));
        SECONDS.forEach((e) => compare(zone, spans, e, gap, repeat, from, to, localTimes(e, day - 2 * DAY, day + 3 * DAY, how !== 'all' || known.size > 80)));
      }
  }
}
answer();

/** What each library that knows it says of a zone within a stretch of time. */
function askLibraries(zone, spans, entry, from, to) {
  if (entry[1].includes('c')) compareOwn(zone, spans, entry, 'croner', from, to, byCroner(entry[0], zone, from, to));
  if (!entry[1].includes('p')) return;
  try {
    compareOwn(zone, spans, entry, 'cron-parser', from, to, byParser(entry[0], zone, from, to));
  } catch (gaveUp) { // in some zones it goes round in a gap until it has enough: it says nothing there
    if (!/loop limit exceeded/.test(gaveUp.message)) throw gaveUp;
    silences.push(`${zone} "${entry[0]}" from ${new Date(from * 1000).toISOString()}`);
  }
}
const silences = [];
const CALM = Date.UTC(2026, 5, 15) / 1000;
zones.forEach((zone, i) => {
  const spans = spansOf(zone), changes = spans.slice(1).map((s) => s.from).filter((at) => at >= YEAR && at <= END);
  for (const e of MINUTES) {
    if (how !== 'all' && i % 2) break;
    if (how === 'all') askLibraries(zone, spans, e, CALM, CALM + 2 * DAY);
    if (how === 'all' && every.indexOf(zone) % 100 === 0) askLibraries(zone, spans, e, YEAR, END);
    for (const at of changes) askLibraries(zone, spans, e, at - 2 * DAY, at + 2 * DAY);
  }
  for (const e of how === 'all' && every.indexOf(zone) % 10 === 0 ? SECONDS : [])
    for (const at of changes) askLibraries(zone, spans, e, at - DAY, at + DAY);
});
answer();
for (const [kind, { n, zones: where, first }] of differences) {
  console.log(`by choice: ${kind}: ${n} times in ${where.size} zones (${[...where].slice(0, 4).join(', ')}), as ${first}`);
  if (!NAMED.includes(kind)) fail('docs/schedules.md does not name: ' + kind);
}
if (silences.length) console.log(`cron-parser gives up ${silences.length} times, as ${silences[0]}`);
console.log(`${own} times asked for a zone itself`);
console.log(`${zones.length} zones, ${MINUTES.length + SECONDS.length} expressions, ${compared} comparisons, ${failures} differ`);
process.exit(failures ? 1 : 0);
