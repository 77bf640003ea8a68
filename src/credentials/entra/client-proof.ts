/**
 * How a confidential application proves its identity, as MSAL takes it. Declared here and not derived from MSAL's types,
 * which do not compile under `node16` without `skipLibCheck`.
 */
export interface ClientProof {
  clientSecret?: string;
  clientCertificate?: { thumbprintSha256: string; privateKey: string; x5c?: string };
  /** A signed JWT (RFC 7523). */
  clientAssertion?: string;
}
