import { X509Certificate } from 'node:crypto';
import { checkBlueprintAssertion } from './agent-identity.js';
import type { AppRegistration } from './directory.js';
import { type DecodedToken, decodeToken, isSignedBy, isSignedByOneOf } from './json-web-token.js';
import { refuse } from './refusal.js';
import { required, type TokenRequest } from './token-request.js';

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const FEDERATION_AUDIENCE = 'api://AzureADTokenExchange';
/** Client clocks may be off by this much, as in Entra. */
const CLOCK_SKEW_SECONDS = 300;

/** RFC 7523 section 3: the application signs with a certificate, or presents a token from an issuer it federates with. */
export function checkClientAssertion(app: AppRegistration, assertion: string, request: TokenRequest): void {
  if (required(request, 'client_assertion_type') !== ASSERTION_TYPE) throw refuse(50027, 'Unknown assertion type.');
  const token = decodeToken(assertion);
  if (token === undefined) throw refuse(50027);
  if (app.blueprintClientId !== undefined) checkBlueprintAssertion(app, assertion, request);
  else if (token.claims.iss === app.clientId) checkCertificateAssertion(app, assertion, token, request);
  else checkFederatedAssertion(app, assertion, token, request);
}

function checkCertificateAssertion(
  app: AppRegistration,
  assertion: string,
  token: DecodedToken,
  request: TokenRequest,
): void {
  const { header, claims } = token;
  const certificate = signingCertificate(app, header);
  const { alg } = header;
  if (alg !== 'RS256' && alg !== 'PS256') throw refuse(50027, `Unsupported signing algorithm '${String(alg)}'.`);
  if (certificate.publicKey.asymmetricKeyType !== 'rsa' || !isSignedBy(assertion, certificate.publicKey, alg)) {
    throw refuse(700027, 'The signature does not match', app.clientId);
  }
  if (claims.sub !== app.clientId) throw refuse(700021);
  if (!audiencesOf(request).includes(String(claims.aud))) throw refuse(700023, String(claims.aud));
  checkTimes(claims, request.issuer.now);
  const now = new Date(request.issuer.now);
  if (now < new Date(certificate.validFrom) || now > new Date(certificate.validTo)) throw refuse(1000502);
}

/** The registered certificate named by thumbprint in the header, or the one in `x5c` if its subject is trusted. */
function signingCertificate(app: AppRegistration, header: Record<string, unknown>): X509Certificate {
  const sha1 = header.x5t;
  const sha256 = header['x5t#S256'];
  const sent = certificatesSent(header);
  if (sha1 === undefined && sha256 === undefined) throw refuse(50027, 'No certificate thumbprint in the token header.');
  const isNamed = (certificate: X509Certificate) =>
    base64url(certificate.fingerprint) === sha1 || base64url(certificate.fingerprint256) === sha256;
  const registered = app.certificates.map((pem) => new X509Certificate(pem)).find(isNamed);
  const trusted = registered ?? sent.filter(isNamed).find((certificate) => isTrusted(app, certificate));
  if (trusted === undefined) throw refuse(700027, 'The key was not found', app.clientId);
  return trusted;
}

function certificatesSent(header: Record<string, unknown>): X509Certificate[] {
  const { x5c } = header;
  const list: unknown[] = Array.isArray(x5c) ? x5c : x5c === undefined ? [] : [x5c];
  try {
    return list.map((der) => new X509Certificate(Buffer.from(String(der), 'base64')));
  } catch {
    throw refuse(50027, 'x5c holds no certificate.');
  }
}

function isTrusted(app: AppRegistration, certificate: X509Certificate): boolean {
  return app.trustedSubjects.some(({ commonName, authority }) => {
    const issuer = new X509Certificate(authority);
    const isNamed = certificate.subject.split('\n').includes(`CN=${commonName}`);
    return isNamed && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
  });
}

function checkFederatedAssertion(
  app: AppRegistration,
  assertion: string,
  token: DecodedToken,
  request: TokenRequest,
): void {
  const { header, claims } = token;
  const own = request.issuer.federatedIssuer;
  const known = app.federatedCredentials.filter(({ issuer = own }) => issuer === claims.iss);
  if (known.length === 0) throw refuse(700211, String(claims.iss));
  const named = known.filter(({ subject }) => subject === claims.sub);
  if (named.length === 0) throw refuse(700213, String(claims.sub));
  const match = named.find(({ audience = FEDERATION_AUDIENCE }) => [claims.aud].flat().includes(audience));
  if (match === undefined) throw refuse(700212, String(claims.aud));
  const keys = match.jwks ?? request.issuer.jwks;
  if (!isSignedByOneOf(assertion, header, keys)) throw refuse(700027, 'The signature does not match', app.clientId);
  checkTimes(claims, request.issuer.now);
}

function checkTimes(claims: Record<string, unknown>, now: number): void {
  const seconds = now / 1000;
  const { nbf = 0, exp } = claims;
  const early = Number(nbf) > seconds + CLOCK_SKEW_SECONDS;
  if (early || !(Number(exp) > seconds)) {
    throw refuse(700024, `Current time: ${seconds}, assertion valid from ${String(nbf)}, expiry ${String(exp)}.`);
  }
}

/** The token endpoint or the issuer, of either version. */
function audiencesOf(request: TokenRequest): string[] {
  const base = request.issuer.issuerOf(request.tenantId, 1);
  return [base, `${base}v2.0`, `${base}oauth2/token`, `${base}oauth2/v2.0/token`];
}

/** `x5t` is the raw thumbprint; Node returns it as hexadecimal with colons. */
function base64url(fingerprint: string): string {
  return Buffer.from(fingerprint.replaceAll(':', ''), 'hex').toString('base64url');
}
