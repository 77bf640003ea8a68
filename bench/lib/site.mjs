import { fork } from 'node:child_process';
import { once } from 'node:events';

/**
 * Starts both emulators in another process.
 *
 * @param {{ loginDelayMs?: number }} [server] options of the SQL emulator
 * @returns {Promise<Site>}
 *
 * @typedef {object} Site
 * @property {{ server: string, port: number, options: object }} config of mssql, without a login
 * @property {{ url: string, tenantId: string }} entra
 * @property {string} token valid for a day
 * @property {() => Promise<{ clientId: string, clientSecret: string }>} addApp
 * @property {(client: { clientId: string, appName: string }) => Promise<{ tokenRequests: number, logins: number, refused: number }>} counts
 * @property {() => void} close
 */
export async function startSite(server = {}) {
  const child = fork(new URL('./site-process.mjs', import.meta.url), [JSON.stringify(server)], { execArgv: [] });
  const [{ config, entra, token }] = await once(child, 'message');
  /** @type {Map<number, (answer: any) => void>} */
  const waiting = new Map();
  child.on('message', ({ id, answer }) => {
    waiting.get(id)?.(answer);
    waiting.delete(id);
  });
  let questions = 0;
  /** @param {string} question @param {object} [about] @returns {Promise<any>} */
  const ask = (question, about) =>
    new Promise((resolve) => {
      questions += 1;
      waiting.set(questions, resolve);
      child.send({ id: questions, question, about });
    });
  return {
    config,
    entra,
    token,
    addApp: () => ask('addApp'),
    counts: (client) => ask('counts', client),
    close: () => child.disconnect(),
  };
}
