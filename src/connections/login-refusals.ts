/** Why a server refuses a login, and what to do about it. */
export interface LoginRefusal {
  cause: string;
  next: string;
}

/**
 * Refusals whose cause follows from their number. The only place for these texts: the hint of an error and the doctor's
 * advice use them, and docs/errors.md repeats them (a test compares). Most specific first: SQL Server sends
 * 4060 and 40615 together with a bare 18456.
 */
export const LOGIN_REFUSALS: ReadonlyMap<number, LoginRefusal> = new Map([
  [
    40615,
    {
      cause: 'The firewall of the Azure SQL server does not allow the address of this client.',
      next: 'Add the client address named in the message to the firewall rules of the Azure SQL server.',
    },
  ],
  [
    40914,
    {
      cause: 'The Azure SQL server does not allow the virtual network of this client.',
      next: 'Allow the virtual network of this client in the rules of the Azure SQL server.',
    },
  ],
  [
    47073,
    {
      cause: 'Public network access is disabled on the server.',
      next: 'Connect through the private endpoint of the server.',
    },
  ],
  [
    4060,
    {
      cause: 'The server has no such database, or this principal has no user in it.',
      next: 'Check the database name, and that this principal has a user in that database.',
    },
  ],
  [
    40532,
    { cause: 'The login is for another server.', next: 'Check the server name; the login must be for that server.' },
  ],
  [18470, { cause: 'The login is disabled.', next: 'Enable the login with ALTER LOGIN ... ENABLE.' }],
  [18487, { cause: 'The password has expired.', next: 'Change the password of the login.' }],
  [18488, { cause: 'The password must be changed before the first login.', next: 'Change the password of the login.' }],
  [
    18452,
    { cause: 'The login comes from an untrusted domain.', next: 'Check the authentication settings of the config.' },
  ],
  [
    37525,
    {
      cause: 'Microsoft Entra authentication is not set up on this server.',
      next: 'Set a Microsoft Entra admin on the server: az sql server ad-admin create.',
    },
  ],
  [
    33134,
    {
      cause: 'The server could not look up the principal in Microsoft Entra ID.',
      next: 'Check the managed identity of the server, and that it may read the directory.',
    },
  ],
]);
