const cluster = require('node:cluster');
if (cluster.isPrimary)
  cluster.fork().on('exit', (code) => {
    process.exitCode = code ?? 1;
  });
else require('./raw-in-worker.cjs');
