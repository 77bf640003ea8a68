/** The settings of a login with a token, in an mssql config. */
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
