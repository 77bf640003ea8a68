import type { Socket } from 'node:net';
import type { ConnectionConfiguration } from 'tedious';

/**
 * Applies the time limit of the dial to a custom `options.connector`, for which tedious waits without a limit. A socket
 * that arrives too late is closed.
 */
export function boundConnector(configuration: ConnectionConfiguration, signal?: AbortSignal): ConnectionConfiguration {
  const { connector } = configuration.options ?? {};
  if (typeof connector !== 'function') return configuration;
  const connect = connector as (...args: unknown[]) => Promise<Socket>;
  // tedious passes its own signal last; its type declares no parameters.
  const bounded = (...args: unknown[]): Promise<Socket> => {
    const signals = [signal, args.at(-1)].filter((each) => each instanceof AbortSignal);
    return socketUnlessAborted(connect(...args), AbortSignal.any(signals));
  };
  return { ...configuration, options: { ...configuration.options, connector: bounded as typeof connector } };
}

function socketUnlessAborted(opening: Promise<Socket>, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) onAbort();
    Promise.resolve(opening).then(
      (socket) => {
        signal.removeEventListener('abort', onAbort);
        if (!signal.aborted) return resolve(socket);
        socket?.on('error', () => {});
        socket?.destroy();
      },
      (error) => {
        signal.removeEventListener('abort', onAbort);
        reject(error);
      },
    );
  });
}
