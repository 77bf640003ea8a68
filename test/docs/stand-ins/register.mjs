// Replaces packages that snippets import and that are not available on every machine.
import { register } from 'node:module';

register('./resolve.mjs', import.meta.url);
