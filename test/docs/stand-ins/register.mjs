// What a snippet imports and cannot be had on every machine, replaced by what offers the same to the snippet.
import { register } from 'node:module';

register('./resolve.mjs', import.meta.url);
