'use strict';
// croner and cron-parser: the times that they give, and where a clock changes the times that they must give by the table of
// docs/schedules.md, so that nothing which they say may surprise.
const { Cron } = require('croner');
const { CronExpressionParser } = require('cron-parser');

const HOUR = 3600, DAY = 86400;

// croner makes a new one for each time that it looks at, which is most of what it does
const Format = Intl.DateTimeFormat, formats = new Map();
Intl.DateTimeFormat = function cached(language, options) {
  const key = language + JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Format(language, options));
  return formats.get(key);
};
Object.assign(Intl.DateTimeFormat, { prototype: Format.prototype, supportedLocalesOf: Format.supportedLocalesOf });

function byCroner(expression, zone, from, to) {
  const cron = new Cron(expression, { timezone: zone }), out = [];
  for (let d = cron.nextRun(new Date((from - 1) * 1000)); d && d.getTime() / 1000 < to; d = cron.nextRun(d)) out.push(d.getTime() / 1000);
  return out;
}

function byParser(expression, zone, from, to) {
  const cron = CronExpressionParser.parse(expression, { currentDate: new Date((from - 1) * 1000), tz: zone }), out = [];
  for (let at = cron.next().toDate().getTime() / 1000; at < to; at = cron.next().toDate().getTime() / 1000) out.push(at);
  return out;
}

const LIST = { croner: byCroner, 'cron-parser': byParser };

// --- expressions -------------------------------------------------------------------------------------------------------

const MACROS = { '@daily': '0 0 * * *', '@weekly': '0 0 * * 0', '@monthly': '0 0 1 * *', '@yearly': '0 0 1 1 *' };

/** The last five fields. */
const fieldsOf = (expression) => (MACROS[expression] || expression).split(/\s+/).slice(-5);
/** What crontab(5) takes for every hour. */
const isEveryHour = (expression) => fieldsOf(expression)[1].startsWith('*');

// --- what they make of a change --------------------------------------------------------------------------------------------

const isGap = (c) => c.is > c.was;
const lengthOf = (c) => Math.abs(c.is - c.was);
const isLonger = (c) => lengthOf(c) > HOUR;
const endsAtMidnight = (c) => (c.at + c.is) % DAY === 0;
const first = (local, c) => local - c.was, second = (local, c) => local - c.is;

/** Is an hour of the clock among those of the expression, whatever the day? */
const hasHour = (list, hour) => list.some((local) => Math.floor(local / HOUR) % 24 === hour);
const hasDayBefore = (c, list) => list.some((local) => local >= c.at + c.is - DAY && local < c.at + c.is);
const hasLastHour = (c, list) => list.some((local) => local >= c.at + c.was - HOUR && local < c.at + c.was);

/* A row of the table in docs/schedules.md: whose, of which changes `c` and expressions `e` (`list`: their local times around), and
 * what it makes of a local time that is missing or comes twice. The first that fits holds. */
const ROWS = [
  { who: 'croner', name: 'gap, fixed hours', fits: (c, e) => isGap(c) && !isEveryHour(e), goesOnThere: true, times: (l, c) => [first(l, c)] },
  { who: 'croner', name: 'gap, hours with a step', fits: (c) => isGap(c), goesOnThere: true, times: (l, c) => [first(l, c)] },
  { who: 'croner', name: 'repeat that is no hour long', fits: (c) => lengthOf(c) !== HOUR, times: (l, c) => [second(l, c)] },
  { who: 'croner', name: 'repeat, every hour', fits: (_, e) => isEveryHour(e), times: (l, c) => [first(l, c)] },
  { who: 'cron-parser', name: 'gap, fixed hours', fits: (c, e) => isGap(c) && !isEveryHour(e), times: (l, c) => [c.at + l % HOUR] },
  { who: 'cron-parser', name: 'gap, hours with a step', fits: (c, e) => isGap(c) && fieldsOf(e)[1] !== '*', times: (l, c) => [c.at + l % HOUR] },
  { who: 'cron-parser', name: 'repeat that is no hour long', fits: (c, e) => !isGap(c) && isLonger(c) && fieldsOf(e)[1] !== '*',
    times: (l, c, list) => (hasLastHour(c, list) ? [first(l, c), second(l, c)] : [first(l, c)]) },
  { who: 'cron-parser', name: 'repeat after midnight',
    fits: (c, e, list) => !isGap(c) && endsAtMidnight(c) && fieldsOf(e)[1] !== '*' && hasDayBefore(c, list) && !hasHour(list, 23),
    times: (l, c) => [second(l, c)] },
  { who: 'cron-parser', name: 'repeat, hours with a step', fits: (c, e) => !isGap(c) && isEveryHour(e) && fieldsOf(e)[1] !== '*',
    times: (l, c) => [first(l, c)] },
];

const rowOf = (who, c, expression, list) => ROWS.find((row) => row.who === who && row.fits(c, expression, list));

/** What is no choice of theirs: as ours by `auto`. */
function asOurs(local, c, expression) {
  if (isGap(c)) return isEveryHour(expression) ? [] : [c.at];
  return isEveryHour(expression) ? [first(local, c), second(local, c)] : [first(local, c)];
}

/** The moments in [from, to) that `who` must give: `list` are the local times around them, `changes` those of the zone. */
function predicted(who, expression, list, spans, changes, from, to) {
  const out = new Set(), near = list.filter((l) => l > from - 2 * DAY && l < to + 2 * DAY);
  let reached = -Infinity;
  for (const local of near) {
    const c = changes.find((x) => local >= x.at + Math.min(x.was, x.is) && local < x.at + Math.max(x.was, x.is));
    if (local <= reached) continue;
    const row = c && rowOf(who, c, expression, near);
    const times = row ? row.times(local, c, near) : c ? asOurs(local, c, expression) : [local - offsetOf(spans, local)];
    if (row && row.goesOnThere) reached = times[0] + c.is;
    for (const at of times) if (at >= from && at < to) out.add(at);
  }
  return [...out].sort((a, b) => a - b);
}

/** Of a local time that there is once. */
const offsetOf = (spans, local) => spans.find((s) => local - s.offset >= s.from && local - s.offset < s.to).offset;

/** cron-parser goes by whole hours, and by a day from an hour to the same: where a clock changes within an hour, or passes over the last
 * one of a day, it loses times that there are, even a whole day, or gives up. */
const canSay = (who, c) => who === 'croner' ||
  ((c.at + c.was) % HOUR === 0 && (c.at + c.is) % HOUR === 0 && !(isGap(c) && endsAtMidnight(c)));

module.exports = { LIST, MACROS, ROWS, isEveryHour, rowOf, predicted, canSay };
