import type { Authentication } from '../connections/config.js';
import { type CredentialInput, createCredential, createOnBehalfOf } from '../credentials/create-credential.js';
import type { TokenCredential } from '../credentials/credential.js';
import { userOfAssertion } from '../credentials/entra/jwt-claims.js';
import { identityOf } from '../credentials/identity.js';
import type { OnBehalfOfApplication } from '../credentials/methods/on-behalf-of.js';
import { ConfigurationError } from '../errors.js';
import { requireKnownOptions } from '../known-options.js';

/** The identity that a connection is for. */
export type Identity =
  | {
      /** The access token that came with a user's call, without `Bearer`: connections are this user's. */
      userAssertion: string;
      /** Default: tenant and object id from the assertion, which Entra then has to confirm. */
      key?: string | undefined;
    }
  | {
      /** Any credential, or the options of one. */
      authentication: Authentication;
      /**
       * Distinguishes this identity from all others; one key, one principal. Default: the identity of the credential
       * itself; a credential that this library did not create needs a key, unless it is the same object each time.
       */
      key?: string | undefined;
    };

interface IdentityOptions {
  userAssertion?: string;
  authentication?: Authentication;
  key?: string | undefined;
}

/** An identity with its key, before it has a pool. */
export interface KeyedIdentity {
  /** Two identities with the same key share a pool. Holds no secret. */
  key: string;
  /** The key stays the same while the credential changes: each call of a user brings a new assertion. */
  switches: boolean;
  credential: () => TokenCredential;
  userAssertion: string | undefined;
}

/** What the credentials of all identities are made with. */
export interface IdentityContext {
  /** Calls on behalf of its users; needed for `userAssertion` only. */
  authentication?: OnBehalfOfApplication | undefined;
  /** Determines the cloud. */
  server?: string | undefined;
}

/**
 * Derives the key of an identity.
 *
 * @throws ConfigurationError if the identity has no credential or no key can be derived
 */
export function keyedIdentity(identity: Identity, context: IdentityContext): KeyedIdentity {
  if (typeof identity !== 'object' || identity === null) throw noIdentity();
  requireKnownOptions('pools.for()', identity as IdentityOptions, {
    userAssertion: true,
    authentication: true,
    key: true,
  });
  const { key } = identity;
  if (key !== undefined && (typeof key !== 'string' || key === '')) {
    throw new ConfigurationError("The 'key' of an identity must be a non-empty string.");
  }
  if ('userAssertion' in identity && (identity as { authentication?: unknown }).authentication !== undefined) {
    throw new ConfigurationError("pools.for() takes 'userAssertion' or 'authentication', not both.", {
      hint: 'With both, it would be unclear whose connection it is. The application that calls on behalf of its users belongs in the config of createTokenPools().',
    });
  }
  if ('userAssertion' in identity) return keyedUser(identity.userAssertion, key, context);
  const { authentication } = identity;
  if (authentication === undefined) throw noIdentity();
  const credential = createCredential(authentication as CredentialInput, { server: context.server });
  if (key === undefined) {
    return { key: identityOf(credential), switches: false, credential: () => credential, userAssertion: undefined };
  }
  return { key: `key:${key}`, switches: true, credential: () => credential, userAssertion: undefined };
}

function keyedUser(
  userAssertion: string,
  key: string | undefined,
  { authentication: application, server }: IdentityContext,
): KeyedIdentity {
  if (application === undefined) {
    throw new ConfigurationError("pools.for({ userAssertion }) needs 'authentication' in the config of the pools.", {
      hint: 'The application that calls on behalf of its users: { tenantId, clientId, clientSecret }.',
    });
  }
  const { principal } = userOfAssertion(userAssertion);
  if (key === undefined && principal === undefined) {
    throw new ConfigurationError('The assertion does not identify its user: it has no tid and oid.', {
      hint: "Pass a 'key' that identifies the user.",
    });
  }
  const credential = () => createOnBehalfOf(application, userAssertion, { server });
  return { key: key === undefined ? `user:${principal}` : `key:${key}`, switches: true, credential, userAssertion };
}

function noIdentity(): ConfigurationError {
  return new ConfigurationError('pools.for() needs { userAssertion } or { authentication }.');
}
