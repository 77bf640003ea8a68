// The drivers open sockets and load each other at run time, so they must stay outside the bundle.
export default { serverExternalPackages: ['mssql-token-pool', 'mssql', 'tedious'] };
