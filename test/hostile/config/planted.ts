import fc from 'fast-check';

/** Text that a user may have meant as a configuration, and the parts of it that are secret. */
export interface Planted {
  text: string;
  secrets: string[];
}

const piece = fc.stringMatching(/^[A-Za-z0-9]{12,20}$/);

/** Passwords as generators and people make them: with the very characters that separate things. */
const secret: fc.Arbitrary<string[]> = fc.oneof(
  piece.map((a) => [a]),
  fc.tuple(
    piece,
    fc.constantFrom(';', '=', ';x=', '&', '@', ':', '/', '"', "'", '{', '}', '%', '#', '\\', ' ', '\n'),
    piece,
  ),
);

const secretKey = fc.constantFrom(
  ...['Password', 'PWD', 'password', 'AppKey', 'Client Secret', 'clientSecret', 'Access Token', 'token'],
  // Typical typing mistakes.
  ...['Pasword', 'Passwort', 'Pass', 'Secret', 'PWD ', 'User Password', 'passw', 'apikey'],
);
const plainPart = fc.constantFrom(
  ...[
    'Server=h',
    'Data Source=tcp:h,1433',
    'Server=h,x',
    'Database=d',
    'Initial Catalog=d',
    'User ID=u',
    'UID=u',
    'Encrypt=true',
  ],
  ...[
    'Encrypt=perhaps',
    'Authentication=Active Directory Default',
    'Authentication=Magic',
    'RunAs=App',
    'AppId=a',
    'TenantId=t',
  ],
  ...['Connect Timeout=soon', 'Pooling=False', 'MultipleActiveResultSets=x', 'Max Pool Size=-1', 'nonsense', '=', ''],
);

const quoted = (value: string): fc.Arbitrary<string> =>
  fc.constantFrom(value, `"${value}"`, `'${value}'`, `{${value}}`, `"${value}`, `{${value}`, ` ${value} `);

/** What stands between the parts: one separator throughout, or one that is wrong once. */
const separator = fc.constantFrom(';', '; ', '\n', '&', ' ', ',', ';;');
const separators = fc.oneof(
  separator.map((one) => [one]),
  fc.array(fc.oneof({ weight: 3, arbitrary: fc.constant(';') }, { weight: 1, arbitrary: separator }), {
    minLength: 2,
    maxLength: 5,
  }),
);

const connectionString = fc
  .tuple(secret, secretKey, fc.array(plainPart, { maxLength: 4 }), fc.constantFrom('=', ':', ' = ', ' ', ''), fc.nat(4))
  .chain(([parts, key, plain, assign, at]) =>
    fc.tuple(quoted(parts.join('')), separators).map(([value, between]) => {
      const all = [...plain];
      all.splice(Math.min(at, all.length), 0, `${key}${assign}${value}`);
      const text = all.map((part, index) => part + (between[index % between.length] ?? ';')).join('');
      return { text, secrets: parts };
    }),
  );

const url = fc
  .tuple(
    secret,
    fc.constantFrom('mssql', 'sqlserver', 'jdbc:sqlserver', 'https', 'mssql+pyodbc', 'Server=mssql'),
    fc.constantFrom('@h:1433/d', '@h/d?encrypt=perhaps', '@', '', '@h:port/d', '@h;database=d', '@h,1433'),
    fc.constantFrom('u:', 'u%40t:', ':', '', 'u;password='),
  )
  .map(([parts, scheme, rest, user]) => ({ text: `${scheme}://${user}${parts.join('')}${rest}`, secrets: parts }));

const other = fc
  .tuple(
    secret,
    fc.constantFrom<(text: string) => string>(
      (text) => text,
      (text) => JSON.stringify({ server: 'h', password: text }),
      (text) => `{"clientSecret":"${text}"`,
      (text) => `eyJhbGciOiJub25lIn0.${Buffer.from(text).toString('base64url')}.${text}`,
      (text) => `-----BEGIN PRIVATE KEY-----\n${text}`,
      (text) => `--password ${text}`,
      (text) => `password=${text}`,
      (text) => `SQL_PASSWORD=${text}`,
      (text) => `RunAs=App;AppId=a;TenantId=t;AppKey=${text};Nonsense`,
      (text) => `RunAs=Sideways;AppKey=${text}`,
      (text) => `app=sa:${text}`,
    ),
  )
  .map(([parts, form]) => ({ text: form(parts.join('')), secrets: parts }));

/** Only pieces that are long enough to be no ordinary word count as secret, and what the text itself gives as a name does not. */
export const planted: fc.Arbitrary<Planted> = fc
  .oneof({ weight: 5, arbitrary: connectionString }, { weight: 2, arbitrary: url }, { weight: 2, arbitrary: other })
  .map(({ text, secrets }) => {
    const names = namesIn(text);
    const isName = (part: string): boolean => names.some((name) => name.includes(part));
    return { text, secrets: secrets.filter((part) => part.length >= 12 && !isName(part)) };
  });

/**
 * What is printed because its position says that it is a name. A text of nothing but `host`, `host\instance` or `host,port` is
 * the name of a server. In a URL, RFC 3986 section 3.2 decides: what follows the last `@` is the host, what precedes the
 * first `:` of the user information is the user, and the path is the database. `mssql://word@word` has no password.
 */
function namesIn(text: string): string[] {
  const trimmed = text.trim();
  if (/^(tcp:)?[\w.-]+(\\[a-z_#]\w{0,15})?(,\d+)?$/i.test(trimmed)) return [trimmed];
  const [, authority, path = ''] = /^mssql:\/\/([^/?#]*)(\/[^?#]*)?/i.exec(trimmed) ?? [];
  if (authority === undefined) return [];
  const at = authority.lastIndexOf('@');
  const [user = ''] = authority.slice(0, Math.max(0, at)).split(':');
  return [user, authority.slice(at + 1), path];
}
