import type { Credential } from '../credential.js';
import type { AuthorityOptions } from '../entra/authority.js';

/**
 * One way to get a token. Each file of this folder that implements one exports it; `registry.ts` lists them.
 *
 * @example
 * export const clientAssertionMethod = defineMethod<ClientAssertionOptions>({
 *   name: 'client-assertion',
 *   options: { ...APPLICATION_OPTIONS, assertion: true },
 *   impliedBy: ['assertion'],
 *   create: clientAssertion,
 * });
 */
export interface CredentialMethod<Options extends object> {
  /** Value of `method` in the options. */
  readonly name: string;
  /** Every option the method takes. */
  readonly options: OptionNames<Options>;
  /** Options that imply this method if `method` is left out. */
  readonly impliedBy?: readonly (keyof Options & string)[] | undefined;
  /**
   * Options, alternatives to each other, that select who logs in and may be left out. One that is present without a
   * value is refused, because a principal other than the intended one would log in.
   */
  readonly selectedBy?: readonly (keyof Options & string)[] | undefined;
  /**
   * @param context defaults that come from where the credential is used
   * @throws ConfigurationError naming the option
   */
  create(options: Options, context: MethodContext): Credential;
}

/** Each option of an options interface by name: one that is in the interface but not in the list does not compile. */
export type OptionNames<Options extends object> = Readonly<Record<Exclude<keyof Options & string, 'method'>, true>>;

export interface MethodContext {
  /** The identity provider of the server's cloud, if the server is known and no variable names another. */
  authority: AuthorityOptions;
}

/** The options of a method, from its type. */
export type OptionsOf<Method> = Method extends CredentialMethod<infer Options> ? Options : never;

/** The options interface is not inferred but named by the caller, so that the compiler checks the list against it. */
export function defineMethod<Options extends object>(method: CredentialMethod<Options>): CredentialMethod<Options> {
  return method;
}
