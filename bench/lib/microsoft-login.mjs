import http from 'node:http';
import https from 'node:https';
import { syncBuiltinESMExports } from 'node:module';
import { urlToHttpOptions } from 'node:url';

/**
 * Redirects every https request and every fetch of this process to the emulator over plain http, because tedious's own
 * credentials and @azure/identity always use Microsoft's login server. All contestants take the same detour.
 *
 * @param {{ url: string }} entra
 */
export function leadMicrosoftLoginTo({ url }) {
  const { hostname, port } = new URL(url);
  const there = { protocol: 'http:', hostname, host: hostname, port, agent: undefined };
  https.request = /** @type {any} */ (
    (...parts) => {
      const callback = typeof parts.at(-1) === 'function' ? parts.pop() : undefined;
      const asked = parts.map((part) => (part instanceof URL ? urlToHttpOptions(part) : part));
      return http.request(Object.assign({}, ...asked, there), callback);
    }
  );
  syncBuiltinESMExports();
  const { fetch } = globalThis;
  globalThis.fetch = (input, init) => {
    const { pathname, search } = new URL(String(input));
    return fetch(`${url}${pathname}${search}`, init);
  };
}
