import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Scalar, SqlType } from '../../../src/testing/tds/data-type.js';
import { HEADER, Recording } from '../../../src/testing/traffic/recording.js';
import { redactMessage, redactValue } from '../../../src/testing/traffic/redact-value.js';
import { quotedIdentifierSettings, statementKey, withoutLiterals } from '../../../src/testing/traffic/statement-key.js';
import { fromTextValue, parseTypeText, toTextValue } from '../../../src/testing/traffic/value-text.js';

describe('a statement', () => {
  test.each([
    ["SELECT 1  WHERE n = N'Ada' -- x\n", 'select ? where n = ?'],
    ['/* a /* nested */ comment */ SELECT [Col 1], "Quoted" FROM T1;', 'select [col 1], "quoted" from t1'],
    ["select 'it''s', 0xCAFE, 1.5e10, .5, @p1, #t, c1", 'select ?, ?, ?, ?, @p1, #t, c1'],
    ['where g = $4711 and h=£ 1.5 or i = -$-.5 and $action = a$5', 'where g = ? and h=? or i = -? and $action = a$5'],
    ["select 'no end", 'select ?'],
    ['select 1 /* no end', 'select ?'],
    ['', ''],
  ])('%j is %j', (sql, key) => {
    expect(statementKey(sql)).toBe(key);
  });

  test('keeps no part of a literal', () => {
    const secret = fc.string({ minLength: 1 }).map((text) => `secret${text}`);
    const literal = secret.map((text) => `'${text.replaceAll("'", "''")}'`);
    fc.assert(
      fc.property(
        fc.array(fc.oneof(literal, fc.constantFrom(' + N', ' /* */ ', ' -- \n', ' [a]]b] ', ' x ')), { minLength: 1 }),
        (parts) => {
          expect(withoutLiterals(`SELECT ${parts.join(' ')}`)).not.toContain('secret');
        },
      ),
    );
  });

  test('keeps nothing in double quotes while they enclose literals', () => {
    expect(withoutLiterals('SELECT [a] WHERE c = "it""s secret"', { areLiterals: true })).toBe(
      'SELECT [a] WHERE c = ?',
    );
  });

  test.each([
    ['SET QUOTED_IDENTIFIER OFF; SELECT "x"', ['off']],
    ['set nocount, quoted_identifier on', ['on']],
    ['SET ANSI_DEFAULTS /* */ OFF SET QUOTED_IDENTIFIER ON', ['off', 'on']],
    ["SELECT 'SET QUOTED_IDENTIFIER OFF' -- set quoted_identifier off", []],
  ])('%j sets QUOTED_IDENTIFIER to %j', (sql, settings) => {
    expect(quotedIdentifierSettings(sql)).toEqual(settings);
  });

  test('of 1 MiB is processed in linear time', () => {
    for (const piece of ["'", '/*', '--', '[', '1', 'N', ' ', '"', '$', '$ ', '$-', 'a ', '( ']) {
      expect(statementKey(piece.repeat(1024 * 1024)).length).toBeLessThanOrEqual(2 * 1024 * 1024);
    }
  });
});

const moments = fc.record({
  days: fc.integer({ min: 0, max: 3_652_058 }),
  ticks: fc.integer({ min: 0, max: 863_999_999_999 }),
});
const VALUES: [SqlType, fc.Arbitrary<Scalar>][] = [
  [{ name: 'bit' }, fc.boolean()],
  [{ name: 'int' }, fc.integer({ min: -2147483648, max: 2147483647 })],
  [{ name: 'float' }, fc.double({ noNaN: true, noDefaultInfinity: true })],
  [{ name: 'bigint' }, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })],
  [{ name: 'decimal', precision: 38, scale: 5 }, fc.bigInt({ min: -(10n ** 38n), max: 10n ** 38n })],
  [{ name: 'money' }, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })],
  [{ name: 'nvarchar', length: 4000 }, fc.string({ unit: 'binary' })],
  [{ name: 'varbinary', length: 8000 }, fc.uint8Array().map((bytes) => Buffer.from(bytes))],
  [{ name: 'date' }, moments.map(({ days }) => ({ days, ticks: 0 }))],
  [{ name: 'datetime2', scale: 7 }, moments],
  [
    { name: 'datetimeoffset', scale: 7 },
    fc.tuple(moments, fc.integer({ min: -840, max: 840 })).map(([moment, offset]) => ({ ...moment, offset })),
  ],
];

describe.each(VALUES)('a value of %o', (type, values) => {
  test('is unchanged after writing and reading', () => {
    fc.assert(
      fc.property(values, (value) => {
        const read = JSON.parse(JSON.stringify(toTextValue(value, type)));
        expect(fromTextValue(read, type)).toEqual(Object.is(value, -0) ? 0 : value);
        expect(fromTextValue(JSON.parse(JSON.stringify(toTextValue({ type, value }, VARIANT))), VARIANT)).toBeDefined();
      }),
    );
  });

  test('is redacted to a value that reveals only its type and length', () => {
    const seen = new Map<number, unknown>();
    fc.assert(
      fc.property(values, (value) => {
        const redacted = redactValue(value, type);
        const length = typeof value === 'string' || Buffer.isBuffer(value) ? value.length : 0;
        if (!seen.has(length)) seen.set(length, redacted);
        expect(redacted).toEqual(seen.get(length));
      }),
    );
  });

  test('of the wrong type is rejected', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (json) => {
        try {
          fromTextValue(json, type);
        } catch (error) {
          expect(error).toBeInstanceOf(TypeError);
        }
      }),
    );
  });
});

const VARIANT: SqlType = { name: 'sql_variant' };

test('no type text makes the reader throw', () => {
  fc.assert(fc.property(fc.string(), (text) => void parseTypeText(text)));
  expect(parseTypeText('decimal(10,2)')).toEqual({ name: 'decimal', precision: 10, scale: 2 });
  expect(parseTypeText('nvarchar(max)')).toEqual({ name: 'nvarchar', length: Number.POSITIVE_INFINITY });
  expect(parseTypeText('geography')).toBeUndefined();
});

test.each([
  [
    2627,
    "Violation of 'PK'. The duplicate key value is (a, b).",
    "Violation of '...'. The duplicate key value is (...).",
  ],
  [
    245,
    "Conversion failed when converting the varchar value 'a''b' to data type int.",
    "Conversion failed when converting the varchar value '...''...' to data type int.",
  ],
  [8152, 'String or binary data would be truncated.', 'String or binary data would be truncated.'],
  [245, "a quote without 'an end", "a quote without '..."],
  [50_000, 'whatever the procedure says', '...'],
  [0, 'printed', '...'],
])('message %i %j is stored as %j', (number, text, stored) => {
  expect(redactMessage(number, text)).toBe(stored);
});

test.each([
  [245, 'Échec de la conversion de la valeur varchar «CANARY» en type de données int.'],
  [245, 'Fehler beim Konvertieren des Werts „CANARY“ (oder »CANARY«) in den Datentyp int.'],
  [208, 'Ungültiger Objektname ‘CANARY’, “CANARY”, 「CANARY」.'],
  [6522, 'A .NET Framework error: 24114: The label CANARY in the input well-known text (WKT) is not valid.'],
  [14043, 'The parameter CANARY cannot be NULL.'],
])('a message with the number %d keeps no value: %s', (number, text) => {
  expect(redactMessage(number, text)).not.toContain('CANARY');
});

describe('logins to one database', () => {
  const accepted = { login: 'shop', answer: [{ server: 'Microsoft SQL Server', version: '16.0.1000' }] };
  const refused = {
    login: 'Shop',
    answer: [{ message: { number: 18456, state: 1, class: 14, text: 'Login failed.' } }],
  };
  const answer = (...logins: object[]) =>
    Recording.parse([HEADER, ...logins].map((line) => JSON.stringify(line)).join('\n'), 'file').login('SHOP')?.answer;

  test('are answered as the last one that was accepted, in whatever order they were recorded', () => {
    expect(answer(accepted, refused)).toEqual(accepted.answer);
    expect(answer(refused, accepted)).toEqual(accepted.answer);
    expect(answer(accepted, refused, accepted, refused)).toEqual(accepted.answer);
  });

  test('are refused if each was refused', () => {
    expect(answer(refused, refused)).toEqual(refused.answer);
  });
});
