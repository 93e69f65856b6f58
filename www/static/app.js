// What the pages gain with JavaScript; each is finished without it. Driven by data- attributes:
//   data-part="NAME"   fetched again from this URL with ?part=NAME while somebody looks
//   data-newest="ID"   the newest task of the list: rows do not move, newer ones are offered
//   data-log, data-from, data-style, data-follow   a log that is followed by byte offset
//   data-copy          gets a copy button
(() => {
'use strict';
const POLL = 5000, POLL_OPEN = 1500, STALE = 30000, LOG_LEAST = 400, LOG_MOST = 2000, LOG_LIVE = 10000, LOG_KEPT = 5000;
const $ = (s, in_ = document) => in_.querySelector(s);
const all = (s, in_ = document) => [...in_.querySelectorAll(s)];
const make = html => { const t = document.createElement('template'); t.innerHTML = html; return t.content; };
const pause = ms => new Promise(done => setTimeout(done, ms));
let poke = () => {};
const soon = ms => new Promise(done => { const t = setTimeout(done, ms); poke = () => { clearTimeout(t); done(); }; });
const seen = () => new Promise(done => document.hidden
	? document.addEventListener('visibilitychange', () => done(), { once: true }) : done());

async function get(fields, tag) {
	const url = new URL(location.href);
	url.hash = '';
	for (const [name, value] of Object.entries(fields)) url.searchParams.set(name, value);
	const headers = tag ? { 'If-None-Match': tag } : {};
	const answer = await fetch(url, { headers, credentials: 'same-origin', cache: 'no-store', redirect: 'error' });
	if (answer.status === 401) { location.reload(); throw new Error('signed out'); }
	if (!answer.ok && answer.status !== 304) throw new Error(answer.status);
	return answer;
}

// --- freshness: never silently old ---------------------------------------------------------------
let fresh = Date.now();
const freshness = () => {
	const at = $('#fresh'), age = Date.now() - fresh;
	if (!at) return;
	at.toggleAttribute('data-stale', age > STALE);
	if (age > STALE) at.textContent = 'stale ' + (age < 120000 ? Math.round(age / 1000) + ' s' : Math.round(age / 60000) + ' min');
	else if (!at.textContent.startsWith('●')) at.textContent = '● live ' + at.textContent.replace(/^updated |^stale.*/, '');
};

// --- times tick ------------------------------------------------------------------------------------
const ago = ms => {
	const s = Math.abs(ms) / 1000;
	const text = s < 60 ? Math.floor(s) + ' s' : s < 3600 ? Math.floor(s / 60) + ' min'
		: s < 172800 ? Math.floor(s / 3600) + ' h' : Math.floor(s / 86400) + ' d';
	return ms < -1000 ? 'in ' + text : s < 2 ? 'just now' : text + ' ago';
};
const skew = Date.now() - Date.parse(document.body.dataset.now || new Date().toISOString());
const tick = () => {
	for (const t of all('time[datetime] > span')) {
		const text = ago(Date.now() - skew - Date.parse(t.parentNode.dateTime));
		if (t.textContent !== text) t.textContent = text;
	}
	freshness();
};

// --- live parts ------------------------------------------------------------------------------------
const isBusy = part => part.matches(':hover') && part.dataset.part === 'rows'
	|| part.contains(document.activeElement) && document.activeElement !== part && part.dataset.part !== 'health'
	|| !!$('input:checked, details[open]', part)
	|| (s => s.rangeCount && !s.isCollapsed && part.contains(s.anchorNode))(getSelection());

function swap(html) {
	for (const now of [...make(html).children]) {
		const old = document.getElementById(now.id);
		if (!old || old.outerHTML === now.outerHTML || isBusy(old)) continue;
		const scroll = old.scrollLeft;
		old.replaceWith(now);
		now.scrollLeft = scroll;
		addCopy(now);
	}
	tick();
}

async function watch() {
	const names = all('[data-part]').map(e => e.dataset.part).filter(n => n !== 'lines');
	const rows = $('[data-newest]');
	const usual = () => $('#verdict:not([data-settled])') ? POLL_OPEN : POLL;
	let tag = null, wait = usual();
	if (!names.length) return;
	const fields = { part: names.filter(n => rows || n !== 'news' && n !== 'rows').join(',') };
	if (rows && rows.dataset.newest) fields.newest = rows.dataset.newest;
	for (;;) {
		await soon(wait * (0.9 + Math.random() / 5));
		await seen();
		try {
			const answer = await get(fields, tag);
			if (answer.status === 200) { tag = answer.headers.get('ETag'); swap(await answer.text()); }
			fresh = Date.now();
			wait = usual();
		} catch (e) { wait = Math.min(wait * 1.5, 30000); }
		freshness();
	}
}

// --- logs --------------------------------------------------------------------------------------------
// A log in a task's page scrolls in its own box; a log alone scrolls with the page.
const isBoxed = log => getComputedStyle(log).maxHeight !== 'none';
const atEnd = () => {
	const log = $('#log');
	return isBoxed(log) ? log.scrollTop + log.clientHeight >= log.scrollHeight - 40
		: log.getBoundingClientRect().bottom <= innerHeight + 60;
};
const toEnd = () => {
	const log = $('#log');
	if (isBoxed(log)) log.scrollTop = log.scrollHeight;
	else log.scrollIntoView({ block: 'end' });
};
const end = () => $('.logend');

function append(log, piece) {
	for (const e of all('[data-open], .none', log)) e.remove();
	const lines = [...piece.children].filter(e => !e.matches('.none'));
	log.append(...lines);
	while (log.childElementCount > LOG_KEPT) log.firstElementChild.remove();
	log.dataset.from = piece.dataset.from;
	log.dataset.style = piece.dataset.style;
	return lines.filter(e => !e.hasAttribute('data-open')).length;
}

function offer(missed) {
	const button = document.createElement('button');
	button.className = 'plain';
	button.textContent = missed + ' new lines · go to end';
	button.addEventListener('click', () => { toEnd(); end().textContent = ''; });
	end().replaceChildren(button);
}

// Holds one of three permits as long as `held` does not settle: a browser has six connections a host, and
// tabs that stream all of them would let no other one load. False: none was free.
async function permitted(held) {
	for (const name of ['stream-1', 'stream-2', 'stream-3'])
		if (await navigator.locks.request(name, { ifAvailable: true }, lock => lock && held().then(() => true))) return true;
	return false;
}

// Who says when there is more to fetch. Without a stream, be it that there is no permit, no place or no
// stoker-tail, that is the clock.
function bell(log) {
	const url = new URL(log.dataset.log, location.href);
	let live = false, rung = false, wake = () => { /* nobody waits */ };
	const ring = () => { rung = true; wake(); };
	const listen = () => new Promise(over => {
		const events = new EventSource(url), close = () => { events.close(); over(); };
		events.addEventListener('open', () => { live = true; });
		events.addEventListener('news', ring);
		events.addEventListener('end', () => { live = false; close(); ring(); });
		events.addEventListener('error', () => {
			live = false;
			if (events.readyState === EventSource.CLOSED) close();
			ring();
		});
	});
	url.pathname += '/stream';
	url.search = url.hash = '';
	if (navigator.locks) permitted(listen);
	return async ms => {
		const rest = new Promise(done => { wake = done; });
		await pause(LOG_LEAST);
		if (!rung && ms > LOG_LEAST) await Promise.race([rest, pause(live ? LOG_LIVE : ms - LOG_LEAST)]);
		rung = false;
	};
}

async function follow() {
	const log = $('#log[data-follow]');
	let wait = LOG_LEAST, missed = 0;
	if (!log) return;
	const more = bell(log);
	const url = new URL(log.dataset.log, location.href);
	toEnd();
	url.searchParams.set('part', 'lines');
	for (;;) {
		await more(wait);
		await seen();
		try {
			url.searchParams.set('from', log.dataset.from);
			url.searchParams.set('style', log.dataset.style);
			const answer = await fetch(url, { credentials: 'same-origin', cache: 'no-store' });
			if (answer.status === 401) return;
			if (!answer.ok) throw new Error(answer.status);
			const got = make(await answer.text()), piece = $('#log', got), stay = atEnd();
			const n = append(log, piece);
			missed = stay ? 0 : missed + n;
			if (stay && n) toEnd();
			if (piece.hasAttribute('data-end')) { log.removeAttribute('data-follow'); break; }
			if (missed) offer(missed); else end().textContent = '● following';
			wait = n ? LOG_LEAST : Math.min(wait * 1.5, LOG_MOST);
		} catch (e) { end().textContent = 'not reached, trying again'; wait = Math.min(wait * 2, 10000); }
	}
	finish(log);
}

// The last chunk comes before the verdict: ask once more for it, then say it.
async function finish(log) {
	for (let i = 0; i < 10; i++) {
		try {
			const page = make(await (await fetch(log.dataset.log, { credentials: 'same-origin', cache: 'no-store' })).text());
			const verdict = $('.logend', page);
			if (verdict && verdict.textContent) { end().textContent = verdict.textContent; poke(); return; }
		} catch (e) { /* tried again below */ }
		await pause(500);
	}
	end().textContent = '';
}

// --- copying -------------------------------------------------------------------------------------------
function addCopy(in_) {
	if (!navigator.clipboard) return;
	for (const e of all('[data-copy]', in_)) {
		const button = document.createElement('button');
		button.className = 'copy';
		button.type = 'button';
		button.textContent = 'copy';
		button.addEventListener('click', () => navigator.clipboard.writeText(e.textContent).then(() => {
			button.textContent = 'copied';
			setTimeout(() => { button.textContent = 'copy'; }, 1500);
		}));
		e.after(button);
	}
}

// A menu closes when one clicks beside it or presses Escape.
const closeMenus = except => { for (const d of all('.drop[open]')) if (d !== except) d.open = false; };
document.addEventListener('click', e => closeMenus(e.target.closest('.drop')));
document.addEventListener('keydown', e => { if (e.key === 'Escape') closeMenus(null); });

addCopy(document);
tick();
setInterval(tick, 1000);
watch();
follow();
})();
