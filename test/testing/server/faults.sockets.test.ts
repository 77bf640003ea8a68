import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startEntraEmulator, startSqlEmulator } from '../../../src/testing/index.js';
import { closing, execute, refusedLogin, rejection, tediousConnect } from '../sql-clients.js';

describe('failLogins', () => {
  test('sends a SQL Server error the given number of times', async () => {
    const server = closing(await startSqlEmulator());
    const fault = server.failLogins({ number: 40613, state: 2, class: 17, message: 'not now', count: 2 });
    for (let i = 0; i < 2; i += 1) {
      const { errors } = await refusedLogin(server.config());
      expect(errors).toMatchObject([{ number: 40613, state: 2, class: 17, message: 'not now' }]);
    }
    expect(fault.hits).toBe(2);
    await tediousConnect(server.config());
    expect(server.logins.map(({ accepted }) => accepted)).toEqual([false, false, true]);
  });

  test('lasts until it is lifted', async () => {
    const server = closing(await startSqlEmulator());
    const fault = server.failLogins({ number: 18456 });
    await refusedLogin(server.config());
    await refusedLogin(server.config());
    fault.lift();
    await tediousConnect(server.config());
    expect(fault.hits).toBe(2);
  });

  test.each(['before-login7', 'after-login7', 'after-fedauth', true] as const)(
    'drops the connection: %s',
    async (drop) => {
      const entra = closing(await startEntraEmulator());
      const server = closing(await startSqlEmulator({ entra }));
      server.failLogins({ drop, count: 1 });
      const { error, errors } = await refusedLogin(server.config());
      expect(errors).toEqual([]);
      expect(error).toMatchObject({ code: 'ESOCKET' });
      expect(server.logins.map((login) => login.error)).toEqual(drop === 'before-login7' ? [] : ['dropped']);
      expect(entra.tokensIssued).toBe(drop === 'after-fedauth' ? 1 : 0);
      await tediousConnect(server.config());
    },
  );

  test('requires number or drop', async () => {
    const server = closing(await startSqlEmulator());
    expect(() => server.failLogins({ count: 1 })).toThrow('failLogins needs `number`');
    for (const [fault, message] of [
      [{ drop: 'never' }, 'drop must be'],
      [{ number: 'x' }, 'number must be'],
      [{ number: Number.NaN }, 'number must be'],
      [{ number: 2 ** 40 }, 'number must be'],
      [{ number: 18456, count: 0 }, 'count must be'],
      [{ number: 18456, count: 1.5 }, 'count must be'],
      [{ number: 18456, class: 300 }, 'class must be'],
      [{ number: 18456, class: 10 }, 'class must be'],
      [{ number: 18456, state: -1 }, 'state must be'],
      [{ number: 18456, lineNumber: '7' }, 'lineNumber must be'],
      [{ number: 18456, message: 5 }, 'message must be'],
    ] as const) {
      expect(() => server.failLogins(fault as never), JSON.stringify(fault)).toThrow(message);
    }
  });
});

describe('connections', () => {
  const serverSides: Socket[] = [];
  const onSocket = (message: unknown): unknown => serverSides.push((message as { socket: Socket }).socket);
  beforeAll(() => subscribe('net.server.socket', onSocket));
  afterAll(() => unsubscribe('net.server.socket', onSocket));

  test('are cut all at once', async () => {
    const server = closing(await startSqlEmulator());
    const clients = await Promise.all([1, 2].map(() => tediousConnect(server.config())));
    const ended = clients.map(({ connection }) => once(connection, 'end'));
    expect(server.dropConnections()).toBe(2);
    await Promise.all(ended);
    expect(server.connections.open).toBe(0);
  });

  test('are cut while the server is closing the connection of a disconnected client', async () => {
    const server = closing(await startSqlEmulator());
    const { connection } = await tediousConnect(server.config());
    const accepted = serverSides.at(-1) as Socket;
    const end = accepted.end.bind(accepted);
    accepted.end = (...last: never[]) => {
      // The socket is now ending; Node emits no 'close' for a socket that is reset before that is done.
      process.nextTick(() => server.dropConnections());
      return end(...last);
    };
    (connection as unknown as { socket: Socket }).socket.end();
    await once(connection, 'end');
    await expect.poll(() => server.connections.open, { timeout: 2000 }).toBe(0);
  });

  test('are cut in the middle of a query', async () => {
    const server = closing(await startSqlEmulator());
    const { connection } = await tediousConnect(server.config());
    const waiting = rejection(execute(connection, "WAITFOR DELAY '00:01:00'"));
    setTimeout(() => server.dropConnections(), 20);
    expect((await waiting).code).toMatch(/ESOCKET|ECLOSE|ECONNRESET/);
  });

  test('are killed individually', async () => {
    const server = closing(await startSqlEmulator());
    const [a, b] = await Promise.all([tediousConnect(server.config()), tediousConnect(server.config())]);
    const [[spid] = []] = await execute(a.connection, 'SELECT @@SPID');
    const ended = once(a.connection, 'end');
    expect(server.kill(spid as number)).toBe(true);
    expect(server.kill(9999)).toBe(false);
    await ended;
    expect(await execute(b.connection, 'SELECT 1')).toEqual([[1]]);
  });

  test('hang while the server is paused, and continue when it resumes', async () => {
    const server = closing(await startSqlEmulator());
    const { connection } = await tediousConnect(server.config());
    server.pause();
    let answered = false;
    const query = execute(connection, 'SELECT 1').then((rows) => {
      answered = true;
      return rows;
    });
    const login = tediousConnect(server.config());
    await expect.poll(() => server.connections.open).toBe(2);
    await execute((await tediousConnect(closing(await startSqlEmulator()).config())).connection, 'SELECT 1');
    expect(answered).toBe(false);
    server.resume();
    expect(await query).toEqual([[1]]);
    await login;
  });

  test('log in slowly with loginDelayMs', async () => {
    const server = closing(await startSqlEmulator({ loginDelayMs: 150 }));
    const started = performance.now();
    await tediousConnect(server.config());
    expect(performance.now() - started).toBeGreaterThanOrEqual(149);
  });

  test('do not delay close()', async () => {
    const server = await startSqlEmulator();
    const { connection } = await tediousConnect(server.config());
    const ended = once(connection, 'end');
    await server.close();
    await server.close();
    await ended;
    expect(server.connections.open).toBe(0);
  });
});
