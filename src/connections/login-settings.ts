/** The settings that a login with a token consists of, in an mssql config. */
export const LOGIN_SETTINGS = [
  'user',
  'password',
  'clientId',
  'clientSecret',
  'tenantId',
  'token',
  'msiEndpoint',
  'msiSecret',
  'authentication_type',
  'authentication',
] as const;
