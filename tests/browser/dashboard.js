// The dashboard in a real browser, against a running instance: node dashboard.js SCENARIO.
// Needs IRON_* of the instance, the codes that tests/flow/test_dashboard.py registers, and chromium.
'use strict';
const assert = require('assert');
const fs = require('fs');
const path = require('path');
const { chromium } = require('playwright-core');

const BASE = `http://${process.env.IRON_HOST}:${process.env.IRON_PORT}`;
const PROJECT = process.env.IRON_PROJECT_ID, TOKEN = process.env.IRON_TOKEN;
const OURS = `/ui/p/${PROJECT}`;
const PICTURES = process.env.STOKER_PICTURES; // a folder for pictures; none are made without it

// --- the API, for what a page cannot do yet ---------------------------------------------------------
async function api(method, route, body) {
	const answer = await fetch(`${BASE}/2/projects/${PROJECT}${route}`, {
		method, headers: { Authorization: `OAuth ${TOKEN}`, 'Content-Type': 'application/json' }, body: body && JSON.stringify(body) });
	assert.strictEqual(answer.status, 200, `${method} ${route}`);
	return answer.json();
}
const queue = async (code, payload = '', more = {}) =>
	(await api('POST', '/tasks', { tasks: [{ code_name: code, payload, ...more }] })).tasks[0].id;
const pause = ms => new Promise(done => setTimeout(done, ms));
async function until(look, what, ms = 15000) {
	for (const end = Date.now() + ms; Date.now() < end; await pause(100)) {
		const got = await look();
		if (got) return got;
	}
	assert.fail(`waited ${ms} ms for ${what}`);
}
const state = async (id, wanted) => until(async () => (await api('GET', `/tasks/${id}`)).state === wanted, `${id} to be ${wanted}`);

// --- a browser that tells what went wrong in it --------------------------------------------------------
let browser;
async function person(options = {}) {
	const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
	const page = await context.newPage();
	page.wrong = [];
	page.on('console', m => { if (['error', 'warning'].includes(m.type())) page.wrong.push(m.text()); });
	page.on('pageerror', e => page.wrong.push(String(e)));
	return page;
}
async function signIn(page, to = '/ui/') {
	await page.goto(BASE + to);
	await page.fill('#token', TOKEN);
	await page.click('button.primary');
	await page.waitForSelector('.health, table');
}
const clean = page => assert.deepStrictEqual(page.wrong, []);
const text = (page, selector) => page.locator(selector).first().innerText();
const lines = page => page.locator('#log .x').allInnerTexts();

// --- scenarios ----------------------------------------------------------------------------------------
const SCENARIOS = {
	// dashboard.md 11.27, 4.12
	async sign_in() {
		const id = await queue('quick'), page = await person();
		await page.goto(`${BASE}${OURS}/tasks/${id}`);
		assert(page.url().includes('/ui/signin?next='), page.url());
		await page.fill('#token', 'stk_00000000_wrong');
		await page.click('button.primary');
		assert.match(await text(page, '[role=alert]'), /did not work/);
		await page.fill('#token', TOKEN);
		await page.click('button.primary');
		await page.waitForSelector('#verdict');
		assert(page.url().endsWith(`/tasks/${id}`), page.url());
		await page.goto(`${BASE}/ui/`);
		assert(page.url().endsWith(OURS), 'one project: straight to it');
		await page.click('.drop >> nth=1');
		await page.click('text=Sign out');
		assert(page.url().endsWith('/ui/signin'));
		assert.strictEqual((await page.goto(`${BASE}${OURS}`)).url().includes('/ui/signin'), true);
		assert.deepStrictEqual(page.wrong.filter(w => !w.includes('401')), []);
	},

	// 11.14, 11.11
	async follow() {
		const page = await person(), times = [];
		await signIn(page, `${OURS}/tasks`);
		const id = await queue('talker');
		await page.goto(`${BASE}${OURS}/tasks/${id}`);
		await page.exposeFunction('sawLine', n => times.push([n, Date.now()]));
		await page.evaluate(() => new MutationObserver(() => window.sawLine(document.querySelectorAll('#log .x').length))
			.observe(document.querySelector('#log'), { childList: true }));
		await until(async () => (await lines(page)).length >= 3, 'the first lines');
		await until(async () => /running/.test(await text(page, '#verdict .badge')), 'the badge to be running', 8000);
		assert.match(await text(page, '#fresh'), /live/);
		await until(async () => (await lines(page)).some(l => l.includes('line 20')), 'the last line', 20000);
		await until(async () => /Complete after/.test(await text(page, '.logend')), 'the verdict below the log');
		await until(async () => /complete/.test(await text(page, '#verdict .badge')), 'the badge to be complete');
		const shown = (await lines(page)).map(l => l.trim());
		const wanted = Array.from({ length: 20 }, (_, i) => `line ${i + 1}`);
		assert.deepStrictEqual(shown.filter(l => /^line/.test(l)), wanted, 'each line once, in order');
		assert(times.length >= 5, 'lines came one after the other');
		assert.strictEqual(await page.locator('#log .err').count(), 1, 'stderr is told apart');
		assert(await page.evaluate(() => { const l = document.querySelector('#log'); return l.scrollTop + l.clientHeight >= l.scrollHeight - 40; }), 'the end is in view');
		clean(page);
	},

	// 11.21 for one task
	async cancel() {
		const page = await person();
		await signIn(page, `${OURS}/tasks`);
		const id = await queue('sleeper');
		await state(id, 'running');
		await page.goto(`${BASE}${OURS}/tasks/${id}`);
		await page.click('text=Cancel…');
		assert.match(await text(page, 'h1'), /Cancel this task/);
		assert.strictEqual((await api('GET', `/tasks/${id}`)).state, 'running', 'nothing is done yet');
		await page.click('button:has-text("Cancel this task")');
		assert.match(await text(page, '[role=status]'), /Asked to end|Cancelled/);
		await state(id, 'cancelled');
		await until(async () => /cancelled/.test(await text(page, '#verdict .badge')), 'the page to say so', 10000);
		clean(page);
	},

	// 11.4 as far as these pages go
	async without_javascript() {
		const page = await person({ javaScriptEnabled: false });
		await signIn(page);
		const done = await queue('quick', '{"password":"planted-value","n":1}', { label: 'without script' });
		await state(done, 'complete');
		for (let i = 0; i < 26; i++) await queue('later', '', { delay: 600, label: 'many' });
		await page.click('nav >> text=Tasks');
		await page.fill('#q', 'label:many');
		await page.selectOption('#f-state', 'queued');
		await page.click('text=Apply');
		assert(decodeURIComponent(page.url()).endsWith('/tasks?q=state:queued+label:many'), page.url());
		await page.click('nav[aria-label="Pages of tasks"] >> text=25');
		assert.strictEqual(await page.locator('#rows tbody tr').count(), 25);
		await page.click('text=Older');
		assert.strictEqual(await page.locator('#rows tbody tr').count(), 1);
		await page.click('text=Newer');
		assert.strictEqual(await page.locator('#rows tbody tr').count(), 25);
		assert.match(await text(page, '#rows td.note'), /not due until/);
		await page.fill('#q', 'colour:red');
		await page.click('text=Apply');
		assert.match(await text(page, '#q-wrong'), /does not know 'colour:'/);
		await page.goto(`${BASE}${OURS}/tasks?q=label:%22without+script%22`);
		await page.click('#rows a.id');
		assert.match(await text(page, 'h1'), /Complete after/);
		assert((await lines(page)).some(l => l.includes('hello')));
		const source = await page.content();
		assert(source.includes('[FILTERED]') && !source.includes('planted-value'));
		await page.click('text=whole log');
		await page.click('#log .n');
		assert(page.url().endsWith('?line=1#L1'), page.url());
		assert.strictEqual(await page.locator('#L1.mark').count(), 1);
		const waiting = await queue('later', '', { delay: 600 });
		await page.goto(`${BASE}${OURS}/tasks/${waiting}`);
		assert.match(await text(page, '.why'), /not due until/);
		await page.click('text=Cancel…');
		await page.click('button:has-text("Cancel this task")');
		assert.match(await text(page, 'h1'), /Cancelled/);
		await page.click('.foot >> text=dark');
		assert.strictEqual(await page.getAttribute('html', 'data-theme'), 'dark');
		await page.click('.drop >> nth=1');
		await page.click('text=Sign out');
		assert(page.url().endsWith('/ui/signin'));
		assert.deepStrictEqual(page.wrong.filter(w => !w.includes('400')), []);
	},

	// 11.10
	async news() {
		const page = await person();
		await queue('quick');
		await signIn(page, `${OURS}/tasks`);
		const first = await text(page, '#rows a.id');
		const id = await queue('quick');
		await until(async () => /1 new/.test(await text(page, '#news')), '"1 new · show"', 12000);
		assert.strictEqual(await text(page, '#rows a.id'), first, 'rows do not move');
		await page.click('#news a');
		await page.waitForSelector(`#rows a[title="${id}"]`);
		clean(page);
	},

	// 11.16
	async hostile_output() {
		const page = await person();
		await signIn(page);
		const id = await queue('hostile');
		await state(id, 'complete');
		await page.goto(`${BASE}${OURS}/tasks/${id}/log`);
		const tags = await page.evaluate(() => [...new Set([...document.querySelectorAll('#log *')].map(e => e.tagName))].sort());
		assert.deepStrictEqual(tags, ['A', 'DIV', 'SPAN']);
		const classes = await page.evaluate(() => [...new Set([...document.querySelectorAll('#log .x, #log .x *')].flatMap(e => [...e.classList]))]);
		for (const c of classes) assert.match(c, /^(x|err|b|u|v|f\d+|g\d+)$/);
		const shown = (await lines(page)).join('\n');
		assert(shown.includes('<script>window.hit=1</script>'));
		assert(shown.includes('done 100 %') && !shown.includes('done 1 %'));
		assert.strictEqual(await page.evaluate(() => window.hit), undefined);
		const copied = await page.evaluate(() => {
			getSelection().selectAllChildren(document.querySelector('#log'));
			return String(getSelection());
		});
		assert.doesNotMatch(copied, /\d\d:\d\d:\d\d\.\d\d\d/, 'times are not copied');
		clean(page);
	},

	// 11.1, 11.2, 11.3, 11.6
	async every_page() {
		const axe = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
		const failed = await queue('broken'), slow = await queue('sleeper');
		await state(failed, 'error');
		await state(slow, 'running');
		const nightly = (await api('POST', '/schedules', { schedules: [{ code_name: 'quick', cron: '30 2 * * *', time_zone: 'Europe/Berlin', label: 'nightly' }] })).schedules[0].id;
		await api('POST', `/schedules/${nightly}/run`);
		await api('POST', `/schedules/${nightly}/pause`, { reason: 'db migration' });
		const pages = { overview: OURS, schedules: `${OURS}/schedules`, schedule: `${OURS}/schedules/${nightly}`, 'schedule-new': `${OURS}/schedules/new`,
			'schedule-edit': `${OURS}/schedules/${nightly}/edit`, calendar: `${OURS}/schedules/calendar?hour=150`, tasks: `${OURS}/tasks`, 'task-failed': `${OURS}/tasks/${failed}`, 'task-running': `${OURS}/tasks/${slow}`,
			log: `${OURS}/tasks/${failed}/log`, projects: '/ui/?all=1', missing: `${OURS}/tasks/000000000000000000000000`, 'filter-wrong': `${OURS}/tasks?q=a:b` };
		const violations = [];
		for (const colorScheme of ['light', 'dark']) {
			for (const width of [1280, 390, 320]) {
				const page = await person({ colorScheme, viewport: { width, height: 800 }, bypassCSP: width === 1280 });
				await signIn(page);
				for (const [name, url] of Object.entries(pages)) {
					await page.goto(BASE + url, { waitUntil: 'load' });
					// by the page's own record: answers to the page before may still be on their way
					const requests = await page.evaluate(() =>
						1 + performance.getEntriesByType('resource').filter(e => !e.name.includes('part=')).length);
					const wide = await page.evaluate(() => document.documentElement.scrollWidth);
					assert(wide <= width, `${name} scrolls sideways at ${width} px: ${wide}`);
					assert(requests <= 4, `${name}: ${requests} requests`);
					const hidden = await page.evaluate(() => [...document.querySelectorAll('.noted td.note')]
						.filter(n => n.textContent && n.getBoundingClientRect().right > innerWidth).length);
					assert.strictEqual(hidden, 0, `${name}: notes out of sight at ${width} px`);
					if (PICTURES && width > 320) await page.screenshot({ path: path.join(PICTURES, `${name}-${colorScheme}-${width}.png`), fullPage: true });
					if (width !== 1280) continue;
					await page.evaluate(axe);
					const found = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
					found.violations.forEach(v => violations.push(`${name} ${colorScheme}: ${v.id}: ${v.nodes.map(n => n.html).slice(0, 3).join(' | ')}`));
				}
				const wrong = page.wrong.filter(w => !/status of 40[04]/.test(w));
				assert.deepStrictEqual(wrong, []);
				await page.context().close();
			}
		}
		assert.deepStrictEqual(violations, []);
		const page = await person();
		let bytes = 0;
		await signIn(page);
		page.on('response', async r => { bytes += (await r.body().catch(() => '')).length; });
		await page.goto(`${BASE}${OURS}/tasks`, { waitUntil: 'networkidle' });
		const cached = (await Promise.all(['app.css', 'app.js', 'icons.svg'].map(async f => (await (await fetch(`${BASE}/static/${f}`)).arrayBuffer()).byteLength))).reduce((a, b) => a + b);
		console.log(`task list: ${bytes} bytes with what is cached, ${cached} of them static`);
		assert(Math.max(bytes, cached) < 60000);
		await api('POST', `/tasks/${slow}/cancel`);
	},

	// 11.24, and 11.4 as far as schedules go: without JavaScript
	async schedules() {
		const page = await person({ javaScriptEnabled: false });
		await signIn(page, `${OURS}/schedules/new`);
		await page.selectOption('#f-code', 'quick');
		await page.fill('#f-cron', '61 * * * *');
		await page.click('text=Check');
		assert.match(await text(page, '#wrong'), /field cron: minute: 61 is not within 0 to 59/);
		assert.strictEqual(await page.inputValue('#f-cron'), '61 * * * *');
		await page.fill('#f-cron', '30 2 * * *');
		await page.fill('#f-zone', 'Europe/Berlin');
		await page.fill('#f-start', '2031-03-29T12:00:00Z');
		await page.fill('#f-label', 'by the form');
		await page.click('text=Check');
		assert.match(await text(page, '#preview'), /at 02:30 every day, Europe\/Berlin/);
		const asked = await api('POST', '/schedules/preview', { cron: '30 2 * * *', time_zone: 'Europe/Berlin', start_at: '2031-03-29T12:00:00Z' });
		const rows = await page.locator('#preview tbody tr').allInnerTexts();
		assert.strictEqual(rows.length, asked.times.length);
		asked.times.forEach((t, i) => assert(rows[i].includes(t.local_time) && rows[i].includes(t.zone) && rows[i].includes(t.note), rows[i]));
		await page.click('text=Save');
		await page.waitForSelector('text=Saved.');
		await page.click('text=Run now');
		await page.waitForSelector('text=A task was queued');
		const id = page.url().match(/schedules\/([0-9a-f]{24})/)[1];
		const fires = (await api('GET', `/schedules/${id}/fires`)).fires;
		assert.deepStrictEqual([fires.length, fires[0].outcome], [1, 'run_now']);
		assert.strictEqual(await page.locator('.ledger a').count(), 1);
		await page.fill('#reason', 'db migration');
		await page.click('button:has-text("Pause")');
		await page.waitForSelector('text=db migration');
		assert.match(await text(page, '#next'), /it is paused since .*db migration/);
		await page.fill('#reason', 'it is over');
		await page.click('button:has-text("Resume")');
		await page.waitForSelector('text=It goes on.');
		assert.match(await text(page, '#pauses'), /db migration[^]*it is over/);
		await page.click('text=Edit');
		assert.strictEqual(await page.inputValue('#f-cron'), '30 2 * * *');
		assert.deepStrictEqual(await Promise.all(['#f-retries', '#f-timeout', '#f-priority'].map(f => page.inputValue(f))), ['', '', '']);
		await page.fill('#f-cron', '');
		await page.fill('#f-every', '90');
		const fields = { 'f-retries': '0', 'f-retries-delay': '5', 'f-timeout': '77', 'f-priority': '0', 'f-delay': '3', 'f-cluster': 'default',
			'f-after': '20', 'f-limit': '7', 'f-window': '600', 'f-end': '2041-01-01T00:00:00.000Z' };
		for (const [field, value] of Object.entries(fields)) await page.fill(`#${field}`, value);
		await page.check('input[name=payload_times]');
		await page.click('text=Save');
		await page.waitForSelector('text=every 90 seconds');
		const kept = await api('GET', `/schedules/${id}`);
		assert.deepStrictEqual([kept.retries, kept.retries_delay, kept.timeout, kept.delay, kept.misfire_after, kept.misfire_limit, kept.misfire_window,
			kept.payload_times, kept.cron, kept.end_at], [0, 5, 77, 3, 20, 7, 600, true, '', '2041-01-01T00:00:00.000Z'], 'the form has every field of the API');
		await page.click('text=Edit');
		for (const [field, value] of Object.entries(fields)) assert.strictEqual(await page.inputValue(`#${field}`), value, field);
		assert(await page.isChecked('input[name=payload_times]'));
		for (const field of Object.keys(fields)) await page.fill(`#${field}`, ''); // empty is the default again
		await page.uncheck('input[name=payload_times]');
		await page.click('text=Save');
		await page.waitForSelector('text=every 90 seconds');
		const plain = await api('GET', `/schedules/${id}`);
		assert.deepStrictEqual([plain.retries, plain.retries_delay, plain.delay, plain.misfire_after, plain.misfire_limit, plain.misfire_window,
			plain.payload_times, plain.end_at], [-1, -1, 0, 10, 100, 86400, false, '0001-01-01T00:00:00Z']);
		await page.goto(`${BASE}${OURS}/schedules/new`);
		await page.fill('#f-cron', 'H H * * *');
		await page.click('text=Check');
		assert.match(await text(page, '#preview'), /H follows from the id/);
		await page.goto(`${BASE}${OURS}/schedules/${id}`);
		await page.click('button.danger');
		await page.waitForSelector('text=Cancel this schedule?');
		assert.strictEqual((await api('GET', `/schedules/${id}`)).status, 'scheduled');
		await page.click('button.danger');
		await page.waitForSelector('text=Cancelled.');
		assert.strictEqual((await api('GET', `/schedules/${id}`)).status, 'cancelled');
	},

	// 4.7, 11.24: the list's strip, the ledger's squares and the calendar's cells are what the API says
	async calendar() {
		const page = await person({ javaScriptEnabled: false });
		const make = async order => (await api('POST', '/schedules', { schedules: [{ code_name: 'quick', ...order }] })).schedules[0].id;
		const often = await make({ run_every: 1, run_times: 5, label: 'often' }), daily = await make({ cron: '15 4 * * *', time_zone: 'Europe/Berlin', label: 'daily' });
		await until(async () => (await api('GET', `/schedules/${often}/fires`)).fires.length === 5, 'five fires');
		for (const fire of (await api('GET', `/schedules/${often}/fires`)).fires) await state(fire.task_id, 'complete');
		await signIn(page, `${OURS}/schedules`);
		assert.strictEqual(await page.locator('tr:has-text("often") .strip').getAttribute('aria-label'), '5 fires: 5 ok');
		await page.goto(`${BASE}${OURS}/schedules/${often}`);
		assert.deepStrictEqual((await page.locator('.ledger a').allInnerTexts()).map(t => t.trim()[0]), Array(5).fill('✓'));
		const later = new Date(Date.now() + 3 * 86400e3).toISOString().slice(0, 10);
		assert.strictEqual((await api('POST', `/schedules/${daily}/cancel`)).msg, 'Cancelled');
		const count = async () => {
			await page.goto(`${BASE}${OURS}/schedules/calendar`);
			return (await page.locator('.week td a').allInnerTexts()).reduce((n, t) => n + Number(t.split(/\s/)[0].replace(',', '')), 0);
		};
		const before = await count();
		const hourly = await make({ cron: '*/20 * * * *', label: 'hourly', exclude_dates: [later] });
		const end = new Date(new Date().toISOString().slice(0, 10)).getTime() + 7 * 86400e3;
		const coming = (await api('GET', `/schedules/${hourly}/preview?n=1000`)).times.filter(t => Date.parse(t.nominal_time) < end && t.runs);
		assert.strictEqual(await count() - before, coming.length);
		await page.goto(`${BASE}${OURS}/schedules/calendar?week=1&hour=30`);
		assert.match(await text(page, '#hour tr:has-text("hourly")'), /hourly\s+3\s/);
		await page.fill('#c-name', 'holi & days');
		await page.fill('#c-dates', '12-32');
		await page.click('text=Make');
		assert.match(await text(page, '[role=alert]'), /12-32.* is no date/);
		await page.fill('#c-dates', '12-25\n\n 2031-04-18 ');
		await page.click('text=Make');
		await page.waitForSelector('text=it holds from the next time on');
		assert.deepStrictEqual((await api('GET', '/calendars')).calendars.map(c => [c.name, c.dates]), [['holi & days', ['12-25', '2031-04-18']]]);
		await page.goto(`${BASE}${OURS}/schedules/${hourly}/edit`);
		await page.fill('#f-calendars', 'holi & days');
		await page.click('text=Save');
		await page.waitForSelector('text=Saved.');
		const forget = async () => {
			await page.goto(`${BASE}${OURS}/schedules/calendar`);
			await page.click('text=Delete…');
			await page.waitForSelector('text=Delete this calendar?');
			await page.click('button:has-text("Delete this calendar")');
		};
		await forget();
		assert.match(await text(page, '[role=alert]'), /name this calendar/);
		await api('POST', `/schedules/${hourly}/cancel`);
		await forget();
		await page.waitForSelector('text=Deleted.');
		assert.deepStrictEqual((await api('GET', '/calendars')).calendars, []);
	},

	// Not a test: the pictures of the README, into STOKER_PICTURES.
	async pictures() {
		const code = (name, command) => api('POST', '/codes', { name, image: 'busybox', command });
		await code('billing/invoice', "sh -c 'echo invoice for order 1204; echo 12 lines, 1,240.50 EUR; sleep 1; echo sent'");
		await code('billing/dunning', "sh -c 'echo reading open items; echo connect: connection refused >&2; exit 1'");
		await code('reports/daily', "sh -c 'i=0; while [ $i -lt 400 ]; do i=$((i+1)); printf \"\\033[36m%03d\\033[0m of 400 rows of the report written\\n\" $i; [ $((i % 40)) -eq 0 ] && echo \"row $i has no customer\" >&2; sleep 0.2; done'");
		for (let i = 0; i < 4; i++) await queue('billing/invoice', `{"order":${1204 + i}}`, { label: `order-${1204 + i}` });
		await queue('billing/dunning', '', { label: 'weekly' });
		const report = await queue('reports/daily', '{"day":"2026-11-23","api_key":"x"}', { label: 'daily' });
		await queue('billing/invoice', '', { label: 'order-1299', delay: 900 });
		await pause(4000);
		const page = await person({ viewport: { width: 1100, height: 620 } });
		await signIn(page);
		await page.screenshot({ path: path.join(PICTURES, 'overview.png') });
		const dark = await person({ viewport: { width: 1100, height: 560 }, colorScheme: 'dark' });
		await signIn(dark, `${OURS}/tasks/${report}`);
		await pause(3000);
		await dark.evaluate(() => scrollTo(0, 0));
		await dark.screenshot({ path: path.join(PICTURES, 'task.png'), fullPage: true });
		await api('POST', `/tasks/${report}/cancel`);
	},
};

(async () => {
	const name = process.argv[2];
	assert(SCENARIOS[name], `no scenario ${name}; there are ${Object.keys(SCENARIOS).join(' ')}`);
	browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
	try {
		await SCENARIOS[name]();
	} finally {
		await browser.close();
	}
})().catch(e => { console.error(e.stack || e); process.exit(1); });
