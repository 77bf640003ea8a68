import { LOGIN_REFUSALS } from '../../connections/login-refusals.js';

/** The likely cause of a failure, and what to do next. */
export interface Advice {
  cause: string;
  next: string;
}

/** The fields of an error that the advice depends on, from our errors and Node's. */
export interface Failure {
  message: string;
  code?: string | undefined;
  number?: number | undefined;
  state?: number | undefined;
  aadsts?: number | undefined;
  hint?: string | undefined;
}

const NO_DRIVER: Advice = {
  cause: 'This program logs in with the tedious driver, which is not installed here.',
  next: 'npm install tedious, or npx -p mssql-token-pool -p tedious mssql-token-pool doctor ...',
};

const GRANT = 'CREATE USER [name] FROM EXTERNAL PROVIDER; ALTER ROLE db_datareader ADD MEMBER [name];';

/** Entra's refusals of a token request. https://learn.microsoft.com/entra/identity-platform/reference-error-codes */
const BY_AADSTS: Readonly<Record<number, Advice>> = {
  700016: {
    cause: 'The tenant has no application with this client id: a wrong client id, or a wrong tenant.',
    next: 'Compare both with the overview page of the app registration; a multi-tenant app must be consented to in this tenant first.',
  },
  7000215: {
    cause: 'The client secret is wrong; often it is the id of the secret instead of its value.',
    next: 'Create a new secret (az ad app credential reset --id <client id> --append) and use its value.',
  },
  7000222: {
    cause: 'The client secret has expired.',
    next: 'Create a new secret (az ad app credential reset --id <client id> --append), or change to a managed identity, which has none.',
  },
  50034: {
    cause: 'The tenant has no user with this name.',
    next: 'Check the user name and the tenant; the user name of a guest is name#EXT#@tenant.',
  },
  53003: {
    cause: 'A Conditional Access policy forbids this sign-in.',
    next: 'Look up the sign-in in Entra under Sign-in logs, which name the policy, and ask its owner; services should use a managed identity.',
  },
  500011: {
    cause: 'The tenant does not know the resource that the token is for: a wrong scope, or the scope of another cloud.',
    next: 'Leave out `scope`, so that it follows from the name of the server, or use https://database.windows.net/.default.',
  },
  65001: {
    cause: 'The application has no consent to use the database on behalf of its users.',
    next: 'Grant the delegated permission Azure SQL Database / user_impersonation and consent to it (az ad app permission admin-consent --id <client id>).',
  },
  90002: {
    cause: 'There is no such tenant: a typo, or another cloud.',
    next: 'Check the tenant id; for US Government or China set AZURE_AUTHORITY_HOST to the authority of that cloud.',
  },
};

/** What SQL Server answers to a login. Refusals that one number explains are in login-refusals.ts. */
const BY_NUMBER: Readonly<Record<number, (failure: Failure) => Advice>> = {
  18456: loginFailed,
  40613: () => ({
    cause: 'The database is not available right now: a serverless one that is waking up, or a failover.',
    next: 'Run this again in a minute. For a serverless database set connectionTimeout and pool.acquireTimeoutMillis to 60,000 ms or more.',
  }),
};

/** The command that carries out the hint for a number. */
const COMMANDS: Readonly<Record<number, (failure: Failure) => string>> = {
  40615: firewallRule,
  4060: () => `Connect to it as the Entra admin and run ${GRANT}`,
};

/** Neither IMDS nor another endpoint of managed identities answers. */
export const NO_MANAGED_IDENTITY: Advice = {
  cause:
    'There is no managed identity here: this is not an Azure machine, no identity is assigned to it, or the endpoint is blocked.',
  next: 'Assign an identity to this app or machine (in Kubernetes: workload identity), or use another method outside Azure.',
};

const BY_CODE: Readonly<Record<string, Advice>> = {
  ENOTFOUND: {
    cause:
      'No DNS server knows this name: a typo, a deleted server, or a private name that is looked up from outside its network.',
    next: 'Compare the name with the one in the Azure portal; for a private endpoint, link the private DNS zone to this network.',
  },
  EAI_AGAIN: {
    cause: 'The DNS server did not answer.',
    next: 'Check the network and the resolver of this machine (in a container: /etc/resolv.conf), then run this again.',
  },
  ECONNREFUSED: {
    cause: 'The machine can be reached, but nothing listens on this port.',
    next: 'Check the port, that SQL Server is running, and that TCP is enabled in SQL Server Configuration Manager.',
  },
  ETIMEDOUT: {
    cause: 'Nothing answers: a firewall or network security group drops the packets, or the server is down.',
    next: 'Allow outgoing TCP to this port (for Azure SQL also 11000 to 11999 if the server redirects), then run this again.',
  },
  ECONNRESET: {
    cause: 'The other side closed the connection: a proxy or load balancer in between, or a server that is starting.',
    next: 'Check what is between this machine and the server, then run this again.',
  },
  CERT_HAS_EXPIRED: {
    cause: 'The certificate of the server has expired.',
    next: 'Renew it on the server. trustServerCertificate would hide this problem, and an attacker too.',
  },
  ERR_TLS_CERT_ALTNAME_INVALID: {
    cause: 'The certificate is for another name than the one you connect to.',
    next: 'Connect by a name that is in the certificate, or set options.serverName to it.',
  },
  ERR_CREDENTIAL_UNAVAILABLE: NO_MANAGED_IDENTITY,
  ERR_TOKEN_TIMEOUT: {
    cause: 'The identity provider did not answer in time.',
    next: 'Allow outgoing HTTPS to the authority (login.microsoftonline.com), through the proxy if there is one.',
  },
  ERR_TOKEN_THROTTLED: {
    cause: 'The identity provider has received too many requests.',
    next: 'Wait for as long as it asks. One TokenCache for all pools of an identity, or a shared one for a fleet, makes fewer requests.',
  },
  ERR_ENCRYPTION_REQUIRED: {
    cause: 'The server does not encrypt, so a token or password would be readable to anyone in between.',
    next: 'Install a certificate on the server and restart it; then run this again.',
  },
};

/** OpenSSL's codes for a chain that does not end in a trusted authority. */
const UNTRUSTED = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
]);

/** Refusals of a federated credential: no issuer, subject or audience at the app registration matches the assertion. */
const FEDERATION = new Set([70021, 700211, 700212, 700213]);

/** The hint of the error has the values to enter. */
function federation({ hint, message }: Failure): Advice {
  if (hint?.startsWith("Check 'agentId'")) return { cause: message, next: hint };
  return {
    cause: 'The app registration has no federated credential that matches the assertion.',
    next:
      hint ??
      'Compare issuer, subject and audience of the assertion with the federated credentials of the app registration.',
  };
}

/** The likely cause of a failure and the exact next step. */
export function adviceFor(failure: Failure): Advice {
  const { aadsts, number, code } = failure;
  if (aadsts !== undefined && FEDERATION.has(aadsts)) return federation(failure);
  if (aadsts !== undefined && BY_AADSTS[aadsts] !== undefined) return BY_AADSTS[aadsts];
  if (number !== undefined && BY_NUMBER[number] !== undefined) return BY_NUMBER[number](failure);
  const refusal = number === undefined ? undefined : LOGIN_REFUSALS.get(number);
  if (refusal !== undefined) {
    const command = COMMANDS[number as number]?.(failure);
    return { cause: refusal.cause, next: command === undefined ? refusal.next : `${refusal.next} ${command}` };
  }
  if (/'tedious' is not installed/.test(failure.message)) return NO_DRIVER;
  // The message of our own configuration errors is the cause, their hint what to do.
  if (code === 'ERR_CONFIGURATION' && failure.hint !== undefined) {
    return { cause: failure.message, next: failure.hint };
  }
  if (code !== undefined && UNTRUSTED.has(code)) {
    return {
      cause: 'The certificate of the server is not signed by an authority that this machine trusts.',
      next: 'Trust the authority: options.cryptoCredentialsDetails.ca, or NODE_EXTRA_CA_CERTS=/path/to/ca.pem. For a throwaway server only: trustServerCertificate.',
    };
  }
  // The error of a credential that is not a managed identity is more specific than the table.
  const { hint, message } = failure;
  const isMissingIdentity =
    /managed identit|IMDS|metadata endpoint/i.test(message) && !message.startsWith('Tried the following');
  if (hint !== undefined && code === 'ERR_CREDENTIAL_UNAVAILABLE' && !isMissingIdentity) {
    return { cause: message, next: hint };
  }
  if (code !== undefined && BY_CODE[code] !== undefined) return BY_CODE[code];
  return {
    cause: hint !== undefined || code?.startsWith('ERR_') ? message : 'This program does not know this failure.',
    next: hint ?? 'Look the message up in docs/errors.md, or open an issue with the output of --json.',
  };
}

/** 18456 hides its reason on purpose; text and state are more specific than the number. */
function loginFailed({ message, state, hint }: Failure): Advice {
  if (state === 233 || /token is expired/i.test(message)) {
    return {
      cause: "By the server's clock, the token had expired when it arrived.",
      next: 'Set the clock of this machine (NTP); if you passed a token, pass a function that gets one instead.',
    };
  }
  if (/not currently configured to accept this token/i.test(message)) {
    return {
      cause:
        'The token is for another resource, or comes from a tenant or cloud that the server does not trust, or the server has no Entra admin.',
      next: 'Compare scope and tenant of the token above with those of the server (leave out `scope`), and set a Microsoft Entra admin (az sql server ad-admin create).',
    };
  }
  if (/<token-identified principal>/i.test(message)) {
    return {
      cause: 'The token is valid, but its principal has no user in this database.',
      next: `Connect as the Entra admin and run ${GRANT}`,
    };
  }
  if (/ANONYMOUS LOGON/i.test(message)) {
    return {
      cause:
        'The server did not accept the token as any principal: no Entra admin is set, or the token is for another resource.',
      next: 'Set a Microsoft Entra admin on the server (az sql server ad-admin create), and leave out `scope`.',
    };
  }
  // A login with a token has no user name.
  if (/for user ''/.test(message)) {
    return {
      cause:
        'The server accepts no Entra logins: it is a plain SQL Server or container, or no Microsoft Entra admin is set.',
      next: 'Set a Microsoft Entra admin (az sql server ad-admin create); in front of a container, start npx mssql-token-pool gateway.',
    };
  }
  return {
    cause: 'Wrong user name or password, or a server that accepts no Entra logins (a plain SQL Server or container).',
    next: hint ?? 'Check user name and password; the error log of the server has the reason.',
  };
}

function firewallRule({ message }: Failure): string {
  const address = /IP address '([^']+)'/i.exec(message)?.[1] ?? '<address>';
  const server = /server '([^']+)'/i.exec(message)?.[1]?.split('.')[0] ?? '<server>';
  const name = /^[\d.]+$/.test(address) ? `ip-${address.replaceAll('.', '-')}` : 'client';
  return `az sql server firewall-rule create --resource-group <group> --server ${server} --name ${name} --start-ip-address ${address} --end-ip-address ${address} (takes up to 5 minutes)`;
}
