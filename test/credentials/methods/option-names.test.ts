import { expect, test } from 'vitest';
import { defineMethod, type OptionNames } from '../../../src/credentials/methods/method.js';
import * as registry from '../../../src/credentials/methods/registry.js';

interface ShopOptions {
  method?: 'shop' | undefined;
  tenantId: string;
  apron?: boolean | undefined;
}

const create = () => ({ getToken: async () => null }) as never;

test('an option of the interface that is missing from the list does not compile', () => {
  const complete: OptionNames<ShopOptions> = { tenantId: true, apron: true };
  // @ts-expect-error apron is missing
  const incomplete: OptionNames<ShopOptions> = { tenantId: true };
  // @ts-expect-error the list has an option of no interface
  const unknown: OptionNames<ShopOptions> = { tenantId: true, apron: true, hat: true };
  // @ts-expect-error apron is missing
  defineMethod<ShopOptions>({ name: 'shop', options: { tenantId: true }, create });
  // @ts-expect-error an option of no interface cannot imply the method
  defineMethod<ShopOptions>({ name: 'shop', options: complete, impliedBy: ['hat'], create });
  expect(Object.keys({ ...complete, ...incomplete, ...unknown })).toContain('hat');
});

test('each method of the registry has a name, its options and a function that creates it', () => {
  const methods = Object.values(registry);
  expect(methods.length).toBeGreaterThan(15);
  for (const method of methods) {
    expect(method).toMatchObject({ name: expect.any(String), options: expect.any(Object) });
    expect(method.create).toBeTypeOf('function');
    for (const name of method.impliedBy ?? []) expect(Object.keys(method.options)).toContain(name);
  }
  expect(new Set(methods.map(({ name }) => name)).size).toBe(methods.length);
});
