// Stands in for the Functions host and its Node.js worker, as far as an HTTP trigger needs them: it provides
// '@azure/functions-core' to the programming model, loads the files of package.json's `main`, and calls each function through
// the model, as https://github.com/Azure/azure-functions-nodejs-worker does. usage: node functions-host.mjs <project>
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import Module from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [project] = process.argv.slice(2);
const functions = new Map();
const terminateHooks = [];
let model;

const core = {
  version: '4.0.0',
  registerFunction(metadata, callback) {
    functions.set(metadata.name, { metadata, callback });
  },
  registerHook(name, callback) {
    if (name === 'appTerminate') terminateHooks.push(callback);
  },
  setProgrammingModel(it) {
    model = it;
  },
  getProgrammingModel: () => model,
  log() {},
};
const load = Module._load;
Module._load = function provideCore(request, ...rest) {
  return request === '@azure/functions-core' ? core : load.call(this, request, ...rest);
};

const { main } = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8'));
const folder = join(project, dirname(main));
for (const file of readdirSync(folder)) await import(pathToFileURL(join(folder, file)));

/** One HTTP request as the host hands it over, and its answer. */
async function invoke({ metadata, callback }, httpRequest) {
  const { url, method, headers } = httpRequest;
  const query = Object.fromEntries(new URL(url, 'http://localhost').searchParams);
  const trigger = Object.entries(metadata.bindings).find(([, { type }]) => type === 'httpTrigger')[0];
  const data = { http: { method, url: `http://localhost${url}`, headers, query, params: {} } };
  const request = { triggerMetadata: {}, inputData: [{ name: trigger, data }] };
  const invocation = model.getInvocationModel({ invocationId: randomUUID(), metadata, request, log() {} });
  const { context, inputs } = await invocation.getArguments();
  const result = await invocation.invokeFunction(context, inputs, callback);
  return (await invocation.getResponse(context, result)).returnValue.http;
}

const server = createServer(async (request, response) => {
  const target = functions.get(/^\/api\/(\w+)/.exec(request.url)?.[1]);
  if (target === undefined) return response.writeHead(404).end();
  try {
    const { statusCode, headers, body } = await invoke(target, request);
    response.writeHead(Number(statusCode ?? 200), headers).end(body?.bytes ?? body?.string);
  } catch (error) {
    response.writeHead(500).end(String(error));
  }
}).listen(0, '127.0.0.1', () => console.log(`ready ${server.address().port}`));

process.once('SIGTERM', async () => {
  server.close();
  for (const hook of terminateHooks) await hook({ hookData: {}, appHookData: {} });
  console.log('terminated');
});
