import * as Plot from '@observablehq/plot';
import type { Timeline } from '../src/telemetry/timeline-events.js';
import { type Bar, type Mark, type Picture, pictureOf, time } from './rows.js';

/** Colours that can be distinguished in light and dark and by the colour-blind (Okabe and Ito), red left for what is wrong. */
const COLOURS = ['#0072b2', '#009e73', '#e69f00', '#cc79a7', '#56b4e9', '#8c6d31'];
const BAD = '#d62728';

/** The legend: for each mark in a chart, the class of page.css that draws it, and its meaning. */
const LEGEND = [
  ['bar', 'a connection, in the colour of the token it logged in with'],
  ['bar beyond', 'a connection that is still open after its token has expired'],
  ['token-end', 'a token expires'],
  ['dot', 'a token, a wait, or a login that the network cut off'],
  ['cross', 'a refusal or an error'],
] as const;

const timelines: Timeline[] = JSON.parse(document.getElementById('timelines')?.textContent ?? '[]');
const origin = Math.min(...timelines.map(({ from }) => from));
const length = Math.max(...timelines.map(({ to }) => to)) - origin;
const main = document.querySelector('main') as HTMLElement;

const charts = document.createElement('div');
charts.className = 'charts';
// First on the page, so that it comes first if there is no space for it beside the charts.
main.append(legend(), charts);

const sections = timelines.map((timeline) => {
  const picture = pictureOf(timeline, origin);
  const section = document.createElement('section');
  section.append(heading(timeline.title), facts(picture));
  const chart = document.createElement('div');
  chart.className = 'chart';
  section.append(chart, table(timeline));
  charts.append(section);
  return { chart, picture, title: timeline.title };
});

let width = 0;
new ResizeObserver(() => {
  const now = Math.max(280, Math.floor(charts.clientWidth));
  if (now === width) return;
  width = now;
  for (const { chart, picture, title } of sections) chart.replaceChildren(draw(picture, title));
}).observe(charts);

function draw(picture: Picture, title: string): Element {
  const narrow = width < 520;
  const tip = { fontSize: 13, lineWidth: narrow ? 18 : 28, lineHeight: 1.35, pathFilter: 'none' };
  const colour = (token: string | undefined): string => {
    const i = picture.tokens.indexOf(token ?? '');
    return i === -1 ? 'var(--quiet)' : (COLOURS[i % COLOURS.length] as string);
  };
  return Plot.plot({
    ariaLabel: title,
    width,
    height: 50 + picture.lanes.length * 22,
    marginLeft: narrow ? 54 : 120,
    marginRight: 14,
    marginTop: 8,
    marginBottom: 36,
    x: { domain: [0, length], label: 'time', tickFormat: tick, ticks: narrow ? 4 : 10 },
    y: {
      domain: picture.lanes,
      label: null,
      tickSize: 0,
      padding: 0.25,
      tickFormat: (lane: string) => (narrow ? shortName(lane) : lane),
    },
    marks: [
      Plot.gridX({ strokeOpacity: 0.12 }),
      Plot.ruleX(picture.tokenEnds, {
        x: 'at',
        stroke: (d) => colour(d.token),
        strokeDasharray: '3 3',
        strokeWidth: 1.5,
      }),
      Plot.barX(picture.bars, {
        x1: 'from',
        x2: 'to',
        y: 'lane',
        fill: (bar: Bar) => colour(bar.token),
        fillOpacity: (bar: Bar) => (bar.beyondToken ? 0.25 : 0.95),
        stroke: (bar: Bar) => (bar.beyondToken ? BAD : 'none'),
        strokeWidth: 1.5,
        rx: 2,
      }),
      Plot.dot(picture.marks, {
        x: 'at',
        y: 'lane',
        r: 5,
        symbol: (mark: Mark) => (mark.bad ? 'times' : 'circle'),
        fill: (mark: Mark) => (mark.bad ? 'none' : colour(mark.token)),
        stroke: (mark: Mark) => (mark.bad ? BAD : 'var(--page)'),
        strokeWidth: (mark: Mark) => (mark.bad ? 2.5 : 1),
      }),
      Plot.tip(
        picture.bars,
        Plot.pointer({ x1: 'from', x2: 'to', y: 'lane', title: 'text', fill: 'var(--page)', ...tip }),
      ),
      Plot.tip(picture.marks, Plot.pointer({ x: 'at', y: 'lane', title: 'text', fill: 'var(--page)', ...tip })),
    ],
  });
}

/** `5 s`, although a tooltip shows `5.0 s`. */
function tick(ms: number): string {
  return time(ms).replace('.0 ', ' ');
}

function shortName(lane: string): string {
  return /\d+$/.exec(lane)?.[0] ?? lane.replace(/^logins | requests$| in the app$/g, '');
}

function heading(title: string): HTMLElement {
  const h2 = document.createElement('h2');
  h2.textContent = title;
  return h2;
}

function facts(picture: Picture): HTMLElement {
  const list = document.createElement('ul');
  list.className = 'facts';
  for (const { label, value, bad } of picture.facts) {
    const item = document.createElement('li');
    const number = document.createElement('b');
    number.textContent = value;
    if (bad) number.className = 'bad';
    item.append(number, ` ${label}`);
    list.append(item);
  }
  return list;
}

function legend(): HTMLElement {
  const aside = document.createElement('aside');
  aside.className = 'legend';
  const list = document.createElement('ul');
  for (const [form, meaning] of LEGEND) {
    const item = document.createElement('li');
    const swatch = document.createElement('i');
    swatch.className = form;
    if (form === 'cross') swatch.textContent = '×';
    item.append(swatch, meaning);
    list.append(item);
  }
  const hint = document.createElement('p');
  hint.textContent = 'Hover over any of them for details.';
  aside.append(list, hint);
  return aside;
}

const MOST_ROWS = 2_000;

/** The events as text: for screen readers, and for copying. */
function table({ events }: Timeline): HTMLElement {
  const details = document.createElement('details');
  const summary = document.createElement('summary');
  summary.textContent = `${events.length} events`;
  const tbody = document.createElement('tbody');
  for (const { at, kind, ...rest } of events.slice(0, MOST_ROWS)) {
    const row = tbody.insertRow();
    row.insertCell().textContent = time(at - origin);
    row.insertCell().textContent = kind;
    row.insertCell().textContent = Object.entries(rest)
      .map(([key, value]) => `${key}: ${/expiresOn$/i.test(key) ? time(Number(value) - origin) : value}`)
      .join(', ');
  }
  const whole = document.createElement('table');
  whole.append(tbody);
  details.append(summary, whole);
  return details;
}
