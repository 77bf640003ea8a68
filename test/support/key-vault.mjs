import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:https';

const RESOURCE = 'https://vault.azure.net';

/**
 * The secrets of a Key Vault: their versions and values, for a caller with a token of the Entra emulator. A request without
 * one is answered with a challenge, which the SDK expects.
 * https://learn.microsoft.com/rest/api/keyvault/secrets
 */
export async function startKeyVault({ entra, cert, key }) {
  const secrets = new Map();
  const requests = [];
  const server = createServer({ cert, key }, (request, response) => {
    const url = new URL(request.url, `https://localhost:${server.address().port}`);
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
    const isAllowed = token !== undefined && entra.verify(token, { audience: RESOURCE }).error === undefined;
    const answer = isAllowed ? answerTo(url) : { status: 401, body: errorBody('Unauthorized') };
    requests.push({ path: url.pathname, status: answer.status });
    const challenge = `Bearer authorization="${entra.url}/${entra.tenantId}", resource="${RESOURCE}"`;
    response.writeHead(answer.status, {
      'content-type': 'application/json',
      ...(isAllowed ? {} : { 'www-authenticate': challenge }),
    });
    response.end(JSON.stringify(answer.body));
  });

  function answerTo(url) {
    const [, , name, version] = url.pathname.split('/');
    const versions = secrets.get(name) ?? [];
    const id = (each) => `${url.origin}/secrets/${name}/${each.version}`;
    if (version === 'versions') {
      return { status: 200, body: { value: versions.map((each) => ({ id: id(each), attributes: each.attributes })) } };
    }
    const found = version ? versions.find((each) => each.version === version) : versions.at(-1);
    if (found === undefined) return { status: 404, body: errorBody('SecretNotFound') };
    return { status: 200, body: { value: found.value, id: id(found), attributes: found.attributes } };
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `https://localhost:${server.address().port}`,
    requests,
    /** Adds a version of a secret. `createdOn` is in epoch ms. */
    setSecret(name, value, createdOn = Date.now()) {
      const created = Math.floor(createdOn / 1000);
      const version = { version: randomUUID().replaceAll('-', ''), value, attributes: { enabled: true, created } };
      secrets.set(name, [...(secrets.get(name) ?? []), version]);
    },
    /** Makes all versions of a secret older, by ms. */
    age(name, ms) {
      for (const { attributes } of secrets.get(name) ?? []) attributes.created -= ms / 1000;
    },
    /** Removes the oldest version. */
    dropOldest(name) {
      secrets.get(name)?.shift();
    },
    async close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

function errorBody(code) {
  return { error: { code, message: code } };
}
