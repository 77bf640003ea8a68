import { defineConfig } from 'vitest/config';

export default defineConfig({ test: { globalSetup: './test/emulators.js', testTimeout: 60_000 } });
