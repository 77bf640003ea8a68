import { readFileSync } from 'node:fs';
import { requireKnownOptions } from '../known-options.js';
import type { Timeline } from './timeline-events.js';

/**
 * Renders timelines as one HTML page, one above the other on the same time axis. The page needs no network: it contains
 * its style, script and data.
 *
 * @param options `title`: heading of the page
 * @throws Error if the package has not been built: `npm run build` bundles the page's script
 */
export function timelineReport(timelines: readonly Timeline[], options: { title?: string | undefined } = {}): string {
  requireKnownOptions('timelineReport()', options, { title: true });
  const { title = 'Connections and their tokens' } = options;
  // Resolved from the folder above, because the bundler may have put this file into dist/shared.
  const script = readFileSync(new URL('../telemetry/timeline-page.js', import.meta.url), 'utf8');
  const style = readFileSync(new URL('../telemetry/timeline-page.css', import.meta.url), 'utf8');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(title)}</title>
<style>${style}</style>
</head>
<body>
<main><h1>${escapeHtml(title)}</h1></main>
<noscript>This page draws its data with a script.</noscript>
<script id="timelines" type="application/json">${JSON.stringify(timelines).replace(/</g, '\\u003c')}</script>
<script>${script.replace(/<\/(script)/gi, '<\\/$1')}</script>
</body>
</html>
`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}
