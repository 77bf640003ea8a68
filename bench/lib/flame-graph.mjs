import { BARE, ownerOf } from './profile-owners.mjs';

const WIDTH = 1200;
const ROW = 15;
const TOP = 46;
/** Narrower boxes are not visible, px. */
const NARROWEST = 0.6;
/** Width of a letter in the labels, px. */
const LETTER = 6.2;

const COLOURS = {
  'mssql-token-pool': '#3fb68b',
  'generic-pool': '#8fd6b8',
  'tedious and what it uses': '#e3b341',
  'Node.js: TLS, sockets, streams': '#79a8e8',
  'Node.js: events, timers, the rest': '#b3cdf2',
  'writing to the socket, with encryption': '#d98880',
  'garbage collection': '#c39bd3',
};
const OTHER = '#c8ccd1';

/**
 * A V8 profile as an image. Each function is a box below its caller; its width is the time in the function and its callees, its
 * color the owner of the code. Idle time is omitted. Hovering over a box shows its name and share.
 *
 * @param {any} profile
 */
export function flameGraph(profile) {
  const root = tree(profile);
  /** @type {string[]} */
  const boxes = [];
  let depth = 0;
  draw(root, 0, 0);
  const height = TOP + (depth + 1) * ROW + 8;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="Flame graph of SELECT 1 through mssql-token-pool">
<style>text { font: 10px ui-monospace, monospace; fill: #1f2328; } .legend { font: 11px system-ui, sans-serif; }</style>
<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>
${legend()}
${boxes.join('\n')}
</svg>
`;

  /** @param {Frame} frame @param {number} x @param {number} level */
  function draw(frame, x, level) {
    const width = (frame.time / root.time) * WIDTH;
    if (width < NARROWEST) return;
    depth = Math.max(depth, level);
    const y = TOP + level * ROW;
    const share = ((frame.time / root.time) * 100).toFixed(1);
    const label = frame.name.slice(0, Math.max(0, Math.floor((width - 4) / LETTER)));
    boxes.push(
      `<g><title>${xmlText(`${frame.name} · ${frame.owner} · ${share} %`)}</title><rect x="${x.toFixed(1)}" y="${y}" width="${Math.max(0.4, width - 0.4).toFixed(1)}" height="${ROW - 1}" fill="${COLOURS[frame.owner] ?? OTHER}"/>${label.length < 2 ? '' : `<text x="${(x + 2).toFixed(1)}" y="${y + 11}">${xmlText(label)}</text>`}</g>`,
    );
    let left = x;
    for (const child of [...frame.children.values()].sort((a, b) => b.time - a.time)) {
      draw(child, left, level + 1);
      left += (child.time / root.time) * WIDTH;
    }
  }
}

/**
 * Merges the calls of a profile by function and caller.
 *
 * @typedef {{ name: string, owner: string, time: number, children: Map<string, Frame> }} Frame
 *
 * @param {any} profile
 * @returns {Frame}
 */
function tree({ nodes, samples, timeDeltas }) {
  /** @type {Map<number, number>} */
  const own = new Map();
  samples.forEach((id, i) => {
    own.set(id, (own.get(id) ?? 0) + timeDeltas[i]);
  });
  const byId = new Map(nodes.map((node) => [node.id, node]));
  /** @type {Frame} */
  const root = { name: 'all but idle', owner: BARE.root, time: 0, children: new Map() };
  for (const child of nodes[0].children) root.time += add(root, byId.get(child));
  return root;

  /** @param {Frame} parent @param {any} node @returns {number} */
  function add(parent, node) {
    const { callFrame } = node;
    const owner = ownerOf(callFrame);
    if (owner === BARE.idle) return 0;
    const name = callFrame.functionName || `(anonymous, line ${callFrame.lineNumber + 1})`;
    const key = `${name}|${callFrame.url}`;
    const frame = parent.children.get(key) ?? { name, owner, time: 0, children: new Map() };
    parent.children.set(key, frame);
    let time = own.get(node.id) ?? 0;
    for (const child of node.children ?? []) time += add(frame, byId.get(child));
    frame.time += time;
    return time;
  }
}

function legend() {
  let x = 8;
  return Object.entries(COLOURS)
    .map(([owner, colour]) => {
      const entry = `<rect x="${x}" y="14" width="12" height="12" fill="${colour}"/><text class="legend" x="${x + 16}" y="24">${owner}</text>`;
      x += 28 + owner.length * 5.8;
      return entry;
    })
    .join('');
}

/** @param {string} text */
function xmlText(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
