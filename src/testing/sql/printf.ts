/** Fills the arguments of RAISERROR into its message; a specification without an argument stays as it is. */
export function printf(text: string, args: readonly string[]): string {
  const values = [...args];
  return text.replace(
    /%%|%([-+0 #]{0,5})(\d{0,3})(?:\.(\d{1,3}))?(?:I64)?([diosuxX])/g,
    (mark, flags: string, width: string, precision: string | undefined, kind: string) => {
      if (mark === '%%') return '%';
      const argument = values.shift();
      return argument === undefined ? mark : formatted(argument, { flags, width: Number(width), precision, kind });
    },
  );
}

/** One argument. */
function formatted(
  argument: string,
  { flags, width, precision, kind }: { flags: string; width: number; precision: string | undefined; kind: string },
): string {
  const isNumber = kind !== 's' && /^-?\d{1,19}$/.test(argument);
  let text = precision === undefined || isNumber ? argument : argument.slice(0, Number(precision));
  if (isNumber) {
    const number = BigInt(argument);
    const base = kind === 'o' ? 8 : /x/i.test(kind) ? 16 : 10;
    // Of negative numbers, the other bases and %u show the two's complement.
    const unsigned = kind === 'u' || base !== 10 ? BigInt.asUintN(number < -0x8000_0000n ? 64 : 32, number) : number;
    const digits = (kind === 'X' ? unsigned.toString(base).toUpperCase() : unsigned.toString(base)).replace('-', '');
    const prefix = flags.includes('#') && base !== 10 ? (base === 8 ? '0' : `0${kind}`) : '';
    const sign = unsigned < 0n ? '-' : flags.includes('+') && base === 10 && kind !== 'u' ? '+' : '';
    const zeros = flags.includes('0') && !flags.includes('-') ? width - sign.length - prefix.length : 0;
    text = sign + prefix + digits.padStart(Math.max(zeros, Number(precision ?? 0)), '0');
  }
  return flags.includes('-') ? text.padEnd(width) : text.padStart(width);
}
