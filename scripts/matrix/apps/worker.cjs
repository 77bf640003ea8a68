const { Worker, isMainThread } = require('node:worker_threads');
if (isMainThread)
  new Worker(__filename).on('error', (error) => {
    throw error;
  });
else require('./drop-in.cjs');
