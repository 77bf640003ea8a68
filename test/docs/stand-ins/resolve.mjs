const STAND_INS = {
  testcontainers: './testcontainers.mjs', // needs Docker
  '@azure/msal-node-extensions': './msal-node-extensions.mjs', // native code, and a key ring
};

export function resolve(specifier, context, next) {
  const standIn = STAND_INS[specifier];
  return standIn === undefined ? next(specifier, context) : next(new URL(standIn, import.meta.url).href, context);
}
