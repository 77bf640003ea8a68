import { once } from 'node:events';
import { connect } from 'node:net';
import { createServer } from 'node:tls';
import { Redis } from 'ioredis';

const RESOURCE = 'https://redis.azure.com';

/**
 * Azure Managed Redis as far as its logins go, in front of a real Redis: TLS, and access tokens of the Entra emulator in
 * place of passwords. The user name is the object id in the token. A connection is closed when its token expires, unless
 * it has authenticated again, as
 * https://learn.microsoft.com/azure/redis/entra-for-authentication describes it.
 */
export async function startAzureRedis({ entra, port, password, cert, key }) {
  const admin = new Redis({ port, password });
  const sockets = new Set();
  const logins = [];
  const server = createServer({ cert, key }, (client) => {
    const redis = connect(port, '127.0.0.1');
    sockets.add(client);
    const login = { timer: undefined };
    client.on('close', () => {
      sockets.delete(client);
      clearTimeout(login.timer);
      redis.destroy();
    });
    redis.on('close', () => client.destroy());
    for (const socket of [client, redis]) socket.on('error', () => {});
    redis.pipe(client);
    void forward(client, redis, login);
  });

  async function forward(client, redis, login) {
    try {
      for await (const { words, bytes } of commandsOf(client)) {
        const [user, token] = credentialsIn(words);
        if (token !== undefined) await admit(client, login, user, token);
        redis.write(bytes);
      }
    } catch {
      client.destroy();
    }
  }

  /** Makes the token the password of its user at the real Redis, if it proves that user. */
  async function admit(client, login, user, token) {
    const claims = entra.verify(token, { audience: RESOURCE });
    const accepted = claims.error === undefined && claims.oid === user;
    logins.push({ user, accepted, flaw: claims.error });
    if (!accepted) return;
    await admin.acl('SETUSER', user, 'on', `>${token}`, '~*', '&*', '+@all', '-@admin');
    clearTimeout(login.timer);
    login.timer = setTimeout(() => client.destroy(), claims.exp * 1000 - Date.now());
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: server.address().port,
    logins,
    admin,
    async close() {
      server.close();
      for (const socket of sockets) socket.destroy();
      admin.disconnect();
    },
  };
}

/** User and password of `AUTH user password` and `HELLO 3 AUTH user password`. */
function credentialsIn(words) {
  const at = words.findIndex((word) => word.toUpperCase() === 'AUTH');
  return at === 0 || (at === 2 && words[0].toUpperCase() === 'HELLO') ? words.slice(at + 1, at + 3) : [];
}

/** The commands of a client (RESP arrays of bulk strings). https://redis.io/docs/latest/develop/reference/protocol-spec/ */
async function* commandsOf(client) {
  let rest = Buffer.alloc(0);
  for await (const chunk of client) {
    rest = Buffer.concat([rest, chunk]);
    for (let command = commandIn(rest); command !== undefined; command = commandIn(rest)) {
      yield { words: command.words, bytes: rest.subarray(0, command.length) };
      rest = rest.subarray(command.length);
    }
  }
}

function commandIn(bytes) {
  let at = 0;
  const line = () => {
    const end = bytes.indexOf('\r\n', at);
    if (end === -1) return undefined;
    const text = bytes.toString('latin1', at, end);
    at = end + 2;
    return text;
  };
  const words = [];
  const count = line();
  if (count === undefined) return undefined;
  for (let i = 0; i < Number(count.slice(1)); i += 1) {
    const size = line();
    if (size === undefined || bytes.length < at + Number(size.slice(1)) + 2) return undefined;
    words.push(bytes.toString('utf8', at, at + Number(size.slice(1))));
    at += Number(size.slice(1)) + 2;
  }
  return { words, length: at };
}
