import { createHash, createHmac } from 'node:crypto';
import { CredentialRejectedError } from '../../../errors.js';
import { type HttpReply, httpExchange } from '../../entra/http-request.js';
import { redact } from '../../entra/redact.js';
import type { AssertionSource } from './assertion-source.js';
import { type AwsKeys, awsRole } from './aws-keys.js';
import { secureUrl, tokenIn } from './issuers.js';

/** Seconds; the assertion is exchanged at once. */
const TOKEN_LIFETIME = '300';

/**
 * AWS: STS issues a JWT for the role of this process. The account needs outbound identity federation enabled, the role
 * the permission `sts:GetWebIdentityToken`. https://docs.aws.amazon.com/STS/latest/APIReference/API_GetWebIdentityToken.html
 */
export const aws: AssertionSource = {
  name: 'AWS STS',
  identity: ['aws'],
  requestTimeoutMs: 25_000,
  async getAssertion(request) {
    const { audience, environment, agent, abortSignal } = request;
    const { region, keys } = await awsRole(request);
    const url = secureUrl(
      environment.AWS_ENDPOINT_URL_STS ?? `https://sts.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}`,
      'AWS_ENDPOINT_URL_STS',
    );
    const body = new URLSearchParams({
      Action: 'GetWebIdentityToken',
      Version: '2011-06-15',
      'Audience.member.1': audience,
      DurationSeconds: TOKEN_LIFETIME,
      SigningAlgorithm: 'RS256',
    }).toString();
    const headers = signedHeaders({ url, body, region, keys, at: new Date() });
    const reply = await httpExchange({ url, method: 'POST', headers, body, agent, abortSignal });
    if (reply.status === 400 || reply.status === 403) throw refusedBy(reply);
    return tokenIn(reply, between(reply.body, '<WebIdentityToken>', '</WebIdentityToken>'), { issuer: 'AWS STS' });
  },
};

function refusedBy(reply: HttpReply): CredentialRejectedError {
  const code = between(reply.body, '<Code>', '</Code>') ?? '';
  const reason = /^\w{1,80}$/.test(code) ? code : redact(code, reply.secrets()).slice(0, 80);
  return new CredentialRejectedError(`AWS STS refused to issue a token (HTTP ${reply.status}, ${reason}).`, {
    status: reply.status,
    hint: 'Enable outbound identity federation for the account, and allow sts:GetWebIdentityToken for the role.',
  });
}

/** Signature Version 4. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html */
export function signedHeaders({
  url,
  body,
  region,
  keys,
  at,
}: {
  url: URL;
  body: string;
  region: string;
  keys: AwsKeys;
  at: Date;
}): Record<string, string> {
  const time = at.toISOString().replace(/[:-]|\.\d{3}/g, '');
  const day = time.slice(0, 8);
  const headers: Record<string, string> = {
    'content-type': 'application/x-www-form-urlencoded; charset=utf-8',
    host: url.host,
    'x-amz-date': time,
    ...(keys.sessionToken === undefined ? {} : { 'x-amz-security-token': keys.sessionToken }),
  };
  const names = Object.keys(headers).sort();
  const canonical = [
    'POST',
    url.pathname,
    '',
    ...names.map((name) => `${name}:${headers[name]}`),
    '',
    names.join(';'),
    sha256(body),
  ].join('\n');
  const scope = `${day}/${region}/sts/aws4_request`;
  const toSign = ['AWS4-HMAC-SHA256', time, scope, sha256(canonical)].join('\n');
  const key = [day, region, 'sts', 'aws4_request'].reduce<Buffer | string>(
    (secret, part) => createHmac('sha256', secret).update(part).digest(),
    `AWS4${keys.secret}`,
  );
  const signature = createHmac('sha256', key).update(toSign).digest('hex');
  return {
    ...headers,
    authorization: `AWS4-HMAC-SHA256 Credential=${keys.id}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`,
  };
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function between(text: string, start: string, end: string): string | undefined {
  const from = text.indexOf(start);
  const to = from === -1 ? -1 : text.indexOf(end, from + start.length);
  return to === -1 ? undefined : text.slice(from + start.length, to);
}
