/** Nominal typing: a `Brand<string, 'MacAddress'>` can only come from the parser of that name. */
declare const brand: unique symbol;
export type Brand<Value, Name extends string> = Value & { readonly [brand]: Name };
