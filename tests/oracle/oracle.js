'use strict';
// Cron expressions and time zones against other hands:
//   croner, cron-parser   which local times an expression means, and their own idea of the zone
//   GNU date              what the zones say
// node oracle.js CRON_TIMES all|NUMBER [PART/PARTS]   all distinct zones of the system, or so many of them; or one part of them, so
// that several may run side by side.
//
// An expression is a set of local times; both libraries list it in UTC, where no clock changes, and must agree (but for
// what one of them does not know, and must refuse). GNU date says when the offset of each zone changes. What a rule makes of gaps
// and repeats is put together here once more, from those two, and compared with lib/model/cron.c: every expression with every rule
// over two years by the minute, and with three seconds in its minutes within a day of each change. Then the libraries are asked for
// the zones themselves: they must give exactly what the rows of libraries.js say, and every difference from ours belongs to one.
const { spawnSync } = require('child_process');
const { spansOf, changesOf, distinctZones, someZones, ODD } = require('./zones.js');
const { LIST, MACROS, ROWS, isEveryHour, rowOf, predicted, canSay } = require('./libraries.js');

const [program, how, which] = process.argv.slice(2);
const YEAR = Date.UTC(2026, 0, 1) / 1000, END = Date.UTC(2028, 0, 1) / 1000, DAY = 86400;
const CALM = Date.UTC(2026, 5, 15) / 1000; // no clock changes on those days
const GAPS = ['auto', 'end', 'skip'], REPEATS = ['auto', 'first', 'second', 'both'];
const WHO = { c: 'croner', p: 'cron-parser' };

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
// the same with three seconds in each of their minutes, and some of their own
const SECONDS = [...MINUTES.map(([expression, who]) => ['0,29,59 ' + (MACROS[expression] || expression), who]),
  ['*/10 */5 0-3 * * *', 'cp'], ['30 59 * * * *', 'cp'], ['0 30 2 * * *', 'cp'], ['59 59 1,2 * * *', 'cp'], ['0 0 0 * * *', 'cp'],
  ['*/20 * 23,0 * * *', 'cp'],
];

let failures = 0;
const fail = (what) => { if (failures++ < 20) console.log('DIFFERS ' + what); };
const without = (a, b) => { const those = new Set(b); return a.filter((x) => !those.has(x)); };
const isSame = (a, b) => a.length === b.length && a.every((x, i) => x === b[i]);

// --- local times: the same list by both ------------------------------------------------------------------------------

const known = new Map();
/** By both where both know it. */
function localTimes([expression, who], from, to) {
  const key = expression + '\t' + from + '\t' + to;
  if (!known.has(key)) {
    const lists = [...who].map((letter) => LIST[WHO[letter]](expression, 'UTC', from, to));
    if (lists.length === 2 && !isSame(lists[0], lists[1])) fail(`${expression}: croner and cron-parser disagree in UTC`);
    known.set(key, lists[0]);
  }
  return known.get(key);
}

/* What the table says they do not know: it must be refused, or our oracle has lost a hand without a reason. */
function refuses(letter, expression) {
  try {
    LIST[WHO[letter]](expression, 'UTC', CALM, CALM + DAY);
  } catch (_) {
    return;
  }
  fail(`${WHO[letter]} knows ${expression}: let it be asked`);
}

/** What neither knows, and what both read otherwise: ours is put together of what they do know. */
function compareReadings() {
  const both = (expression) => localTimes([expression, 'cp'], YEAR, END);
  const days = both('0 0 */2 * *'), mondays = both('0 0 * * 1');
  const inBoth = days.filter((at) => mondays.includes(at)), inEither = [...new Set([...days, ...mondays])].sort((a, b) => a - b);
  const ours = (expression, want) => ask('', 'auto', 'auto', YEAR, END, 'list', expression, (line) => {
    if (!isSame(line.split(' ').map(Number), want)) fail(`${expression} is not what it is made of`);
  });

  MINUTES.forEach(([expression, who]) => [...'cp'].filter((letter) => !who.includes(letter)).forEach((letter) => refuses(letter, expression)));
  [...'cp'].forEach((letter) => refuses(letter, '0 0 L-3 * *'));
  ours('0 0 L-3 * *', localTimes(['0 0 L * *', 'cp'], YEAR, END + 4 * DAY).map((at) => at - 3 * DAY).filter((at) => at >= YEAR && at < END));
  ours('0 0 */2 * 1', inBoth);
  if (!isSame(both('0 0 */2 * 1'), inEither)) fail('0 0 */2 * 1: they do not take either day');
}

// --- the rules, put together once more -------------------------------------------------------------------------------------

function lowerBound(list, x) {
  let low = 0, high = list.length;
  while (low < high) { const m = (low + high) >> 1; if (list[m] < x) low = m + 1; else high = m; }
  return low;
}

/** Seconds × 2, + 1 if skipped, in order. */
function expected(expression, local, spans, gap, repeat, from, to) {
  const out = [], free = isEveryHour(expression);
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
function compare(zone, spans, [expression], gap, repeat, from, to, local) {
  const want = sum(expected(expression, local, spans, gap, repeat, from, to));
  ask(zone, gap, repeat, from, to, 'sum', expression, (got) => {
    compared++;
    if (got !== want) fail(`${zone} "${expression}" gap ${gap} repeat ${repeat} from ${from}: ours ${got}, theirs ${want}`);
  });
}

/** All rules, over the two years and about each change. Without a change there is nothing for them to rule: `all` asks for them even so. */
function compareZone(zone, spans, changes) {
  for (const gap of GAPS)
    for (const repeat of REPEATS) {
      if (how === 'all' || changes.length || gap + repeat === 'autoauto')
        MINUTES.forEach((e) => compare(zone, spans, e, gap, repeat, YEAR, END, wide(e)));
      for (const { at } of changes)
        SECONDS.forEach((e) => compare(zone, spans, e, gap, repeat, at - DAY, at + DAY, around(e, at)));
    }
}

const wide = (entry) => localTimes(entry, YEAR - 5 * DAY, END + 5 * DAY);
const around = (entry, at) => { const day = Math.floor(at / DAY) * DAY; return localTimes(entry, day - 3 * DAY, day + 4 * DAY); };

// --- the libraries' own zones -------------------------------------------------------------------------------------------------

const differences = new Map(ROWS.map((row) => [row, { n: 0, zones: new Set(), first: '' }]));
let own = 0;

/** Every time at which they differ from us belongs to a row of the table. */
function count(zone, who, changes, expression, list, ours, theirs) {
  for (const at of [...without(ours, theirs), ...without(theirs, ours)]) {
    const change = changes.find((c) => Math.abs(c.at - at) <= DAY / 4), row = change && rowOf(who, change, expression, list);
    if (!row) fail(`${zone} "${expression}": ${who} differs at ${at}, which no row of the table names`);
    else {
      const told = differences.get(row);
      told.first = told.first || `${zone} "${expression}", ${ours.includes(at) ? 'ours' : 'theirs'} alone: ${new Date(at * 1000).toISOString()}`;
      told.n++;
      told.zones.add(zone);
    }
  }
}

/** What a library gives for a zone within a stretch of time is what its rows say, and ours is what we chose. */
function compareOwn(zone, spans, changes, entry, from, to, local) {
  const [expression, whose] = entry;
  for (const who of [...whose].map((letter) => WHO[letter])) {
    if (changes.some((c) => c.at >= from - DAY && c.at <= to + DAY && !canSay(who, c))) continue;
    const near = local.slice(lowerBound(local, from - 2 * DAY), lowerBound(local, to + 2 * DAY));
    const want = predicted(who, expression, near, spans, changes, from, to), got = LIST[who](expression, zone, from, to);
    if (!isSame(got, want)) fail(`${zone} "${expression}" from ${from}: ${who} gives ${odd(got, want)} alone, the table ${odd(want, got)}`);
    ask(zone, 'auto', 'auto', from, to, 'list', expression, (line) => {
      own++;
      const ours = line ? line.split(' ').map(Number) : [], rules = expected(expression, near, spans, 'auto', 'auto', from, to).map((x) => x / 2);
      if (!isSame(ours, rules)) fail(`${zone} "${expression}" from ${from}: ours gives ${odd(ours, rules)} alone, the rules ${odd(rules, ours)}`);
      count(zone, who, changes, expression, near, ours, got);
    });
  }
}

const odd = (a, b) => without(a, b).slice(0, 3).join(' ') || 'nothing';

/** By the minute two days before and after each change, and of each kind of zone over the two years; by the second a day. */
function askLibraries(zone, spans, changes, isNew) {
  for (const e of MINUTES) {
    if (isNew) compareOwn(zone, spans, changes, e, YEAR, END, wide(e));
    for (const { at } of changes) compareOwn(zone, spans, changes, e, at - 2 * DAY, at + 2 * DAY, wide(e));
    if (how === 'all') compareOwn(zone, spans, changes, e, CALM, CALM + 2 * DAY, wide(e));
  }
  for (const e of how === 'all' ? SECONDS : [])
    for (const { at } of changes) compareOwn(zone, spans, changes, e, at - DAY, at + DAY, around(e, at));
}

// --- all of it ---------------------------------------------------------------------------------------------------------------------

const every = distinctZones(), [part, parts] = (which || '1/1').split('/').map(Number);
const chosen = how === 'all' ? every : someZones(every, Number(how)), zones = chosen.filter((_, i) => i % parts === part - 1);
const kinds = new Map(); // clocks of the two years: the first zone that has them
const spansBy = new Map(chosen.map((zone) => [zone, spansOf(zone, YEAR - 5 * DAY, END + 5 * DAY)]));
for (const [zone, spans] of spansBy) {
  const key = JSON.stringify(spans);
  if (!kinds.has(key)) kinds.set(key, zone);
}
const firsts = new Set(kinds.values());
compareReadings();
for (const zone of zones) {
  const spans = spansBy.get(zone), changes = changesOf(spans).filter(({ at }) => at >= YEAR && at <= END);
  compareZone(zone, spans, changes);
  if (how === 'all' || ODD.includes(zone)) askLibraries(zone, spans, changes, how === 'all' && firsts.has(zone));
}
answer();
for (const [row, { n, zones: where, first }] of differences) {
  console.log(`by choice: ${row.who}, ${row.name}: ${n} times in ${where.size} zones (${[...where].slice(0, 4).join(', ')}), as ${first}`);
  if (!n && parts === 1) fail(`${row.who} never differs by "${row.name}": the table is not true any more`);
}
console.log(`${own} times asked for a zone itself; ${firsts.size} kinds of clocks`);
console.log(`${zones.length} zones, ${MINUTES.length} expressions by the minute, ${SECONDS.length} by the second, ${compared} comparisons, ${failures} differ`);
process.exit(failures ? 1 : 0);
