// The drivers open sockets and load each other at run time: they stay outside of the bundle.
export default { serverExternalPackages: ['mssql-token-pool', 'mssql', 'tedious'] };
