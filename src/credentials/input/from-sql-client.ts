import { ConfigurationError } from '../../errors.js';
import type { Credential } from '../credential.js';
import type { AuthorityOptions } from '../entra/authority.js';
import { staticToken } from '../methods/access-token.js';
import { defaultChain } from '../methods/chain.js';
import { deviceCode } from '../methods/device-code.js';
import { interactive } from '../methods/interactive.js';
import { managedIdentity } from '../methods/managed-identity.js';
import { usernamePassword } from '../methods/password.js';
import { servicePrincipalSecret } from '../methods/service-principal-secret.js';
import { workloadIdentity } from '../methods/workload-identity.js';
import { readEnvironment } from './environment.js';
import { inTenant, requireSelectedKeys } from './require-option.js';

/**
 * The credential that `Authentication=Active Directory ...` selects in a connection string of Microsoft.Data.SqlClient,
 * with the keys that mssql adds (`Client Id`, `Client Secret`, `Tenant Id`, `Token`).
 * https://learn.microsoft.com/sql/connect/ado-net/sql/azure-active-directory-authentication
 *
 * SqlClient learns the tenant from the server, after connecting. Here, the token is requested first, so the tenant of a
 * service principal must be given: `Tenant Id`, `User ID=<application>@<tenant>`, or `AZURE_TENANT_ID`.
 *
 * @throws ConfigurationError naming the key; values are never quoted
 */
export function fromSqlClient(entries: ReadonlyMap<string, string>, authority: AuthorityOptions): Credential {
  const value = (...names: string[]) =>
    names.map((name) => entries.get(name)).find((text) => text !== undefined && text !== '');
  const user = value('user id', 'uid', 'user');
  const password = value('password', 'pwd');
  const tenantId = value('tenant id');
  const clientId = value('client id');
  // SqlClient treats an empty name as a missing one, and so uses the machine's own identity.
  requireSelectedKeys(entries, ['User ID', 'UID', 'User', 'Client Id', 'Tenant Id', 'Token']);
  const keyword = (entries.get('authentication') ?? '').replace(/\s/g, '').toLowerCase();
  const options = { ...authority, ...inTenant(tenantId) };
  const person = { ...options, clientId, ...(user === undefined ? {} : { username: user }) };
  switch (keyword) {
    case 'activedirectoryserviceprincipal':
      return servicePrincipal();
    case 'activedirectorymanagedidentity':
    case 'activedirectorymsi':
      return managedIdentity({ clientId: user ?? clientId });
    case 'activedirectorydefault':
      return defaultChain({ clientId: user ?? clientId, ...inTenant(tenantId) }, authority);
    case 'activedirectoryworkloadidentity':
      return workloadIdentity({ ...options, clientId: user ?? clientId });
    case 'activedirectorypassword':
      return usernamePassword({
        ...options,
        clientId,
        username: needed(user, 'User ID'),
        password: needed(password, 'Password'),
      });
    case 'activedirectoryinteractive':
      return interactive({ method: 'interactive', ...person });
    case 'activedirectorydevicecodeflow':
      return deviceCode({ method: 'device-code', ...person });
    case 'activedirectoryintegrated':
      return integrated();
    default:
      throw new ConfigurationError("Connection string: 'Authentication' has an unknown value.", {
        hint: 'Expected: Active Directory Default, Managed Identity, Service Principal, Workload Identity, Interactive, Device Code Flow or Password.',
      });
  }

  function servicePrincipal(): Credential {
    const [application = '', tenantOfUser] = (user ?? clientId ?? '').split('@');
    return servicePrincipalSecret({
      ...authority,
      clientId: needed(application, 'User ID'),
      clientSecret: needed(password ?? value('client secret'), 'Password'),
      tenantId: needed(
        tenantId ?? tenantOfUser ?? readEnvironment().AZURE_TENANT_ID,
        'Tenant Id',
        'Add it; or User ID=<application id>@<tenant id>; or set AZURE_TENANT_ID.',
      ),
    });
  }

  /** mssql's meaning of this keyword. SqlClient's is Kerberos, which Node cannot use. */
  function integrated(): Credential {
    const token = value('token');
    if (token !== undefined) return staticToken({ token });
    if (value('client secret') !== undefined) return servicePrincipal();
    if (value('msi endpoint') !== undefined) return managedIdentity({ clientId });
    return defaultChain({ clientId, ...inTenant(tenantId) }, authority);
  }
}

function needed(value: string | undefined, key: string, hint?: string): string {
  if (value !== undefined && value !== '') return value;
  throw new ConfigurationError(`Connection string: '${key}' is missing.`, { hint });
}
