import { randomUUID } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { randomSecret } from '../directory.js';
import type { HttpAnswer } from '../http-listener.js';
import { answering, chosenIdentity, type IdentityRequest, oauthError, tokenFor } from './identity-request.js';

/**
 * Azure Arc: servers outside Azure. The agent answers 401 with the path of a file that only privileged users can read;
 * a client that sends the file's content gets the token. Each file is valid for one request.
 */
export class AzureArc {
  readonly #keyDirectory: string;
  readonly #openChallenges = new Map<string, string>();

  constructor(keyDirectory: string) {
    this.#keyDirectory = keyDirectory;
  }

  answer(request: IdentityRequest): HttpAnswer {
    const { headers, parameters } = request;
    const refused = (description: string) => ({ status: 400, body: oauthError('invalid_request', description) });
    if (headers.metadata?.toString().toLowerCase() !== 'true') return refused('Required metadata header not specified');
    if (parameters.get('api-version') === null) return refused('Required query variable "api-version" is missing');
    const resource = parameters.get('resource');
    if (resource === null) return refused('Required audience parameter not specified');
    if (!this.#redeem(headers.authorization)) return this.#challenge();
    const identity = chosenIdentity(request, {
      clientId: ['client_id'],
      objectId: ['object_id'],
      resourceId: ['msi_res_id'],
    });
    if (identity === undefined) return refused('Identity not found');
    return answering(oauthError, () => {
      const token = tokenFor(request, identity, resource);
      return {
        status: 200,
        body: {
          access_token: token.accessToken,
          // Clients compare these with the identity they selected, because older agents ignore the selection.
          client_id: identity.clientId,
          object_id: identity.objectId,
          msi_res_id: identity.resourceId,
          expires_in: String(token.expiresIn),
          expires_on: String(token.expiresOn),
          not_before: String(token.notBefore),
          resource,
          token_type: 'Bearer',
        },
      };
    });
  }

  /** Removes the files of unanswered challenges. */
  close(): void {
    for (const file of this.#openChallenges.values()) rmSync(file, { force: true });
    this.#openChallenges.clear();
  }

  #challenge(): HttpAnswer {
    const secret = randomSecret();
    const file = join(this.#keyDirectory, `${randomUUID()}.key`);
    mkdirSync(this.#keyDirectory, { recursive: true });
    writeFileSync(file, secret, { mode: 0o600 });
    this.#openChallenges.set(secret, file);
    return {
      status: 401,
      headers: { 'WWW-Authenticate': `Basic realm=${file}` },
      body: oauthError('unauthorized', 'Send the content of the file named in WWW-Authenticate.'),
    };
  }

  #redeem(authorization: string | undefined): boolean {
    const secret = /^Basic (.+)$/i.exec(authorization ?? '')?.[1] ?? '';
    const file = this.#openChallenges.get(secret);
    if (file === undefined) return false;
    rmSync(file, { force: true });
    return this.#openChallenges.delete(secret);
  }
}
