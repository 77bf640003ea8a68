import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { UsageError } from './address.js';

/**
 * Checks, before anything is started, that the file named by an option can be written.
 *
 * @throws UsageError that names the option and what is wrong
 */
export function assertWritable(option: string, file: string): void {
  const folder = dirname(resolve(file));
  const wrong = (why: string): UsageError => new UsageError(`${option} ${file}: ${why}`);
  if (!existsSync(folder)) throw wrong(`the folder ${folder} does not exist`);
  if (existsSync(file) && statSync(file).isDirectory()) throw wrong(`${file} is a directory`);
  try {
    accessSync(existsSync(file) ? file : folder, constants.W_OK);
  } catch {
    throw wrong('there is no permission to write to it');
  }
}
