// `testcontainers` without Docker: the container of SQL Server is the SQL emulator.
import assert from 'node:assert/strict';
import { startSqlEmulator } from 'mssql-token-pool/testing';

export const Wait = { forLogMessage: (message) => ({ message }) };

export class GenericContainer {
  #environment = {};
  #ports = [];

  constructor(image) {
    assert.match(image, /^mcr\.microsoft\.com\/mssql\/server:/);
  }

  withEnvironment(environment) {
    this.#environment = environment;
    return this;
  }

  withWaitStrategy({ message }) {
    assert.ok(message);
    return this;
  }

  withExposedPorts(...ports) {
    this.#ports = ports;
    return this;
  }

  async start() {
    assert.equal(this.#environment.ACCEPT_EULA, 'Y');
    const server = await startSqlEmulator({ users: { sa: this.#environment.MSSQL_SA_PASSWORD } });
    return {
      getHost: () => 'localhost',
      getMappedPort: (port) => {
        assert.ok(this.#ports.includes(port));
        return server.port;
      },
      stop: () => server.close(),
    };
  }
}
