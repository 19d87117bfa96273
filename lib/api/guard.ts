import { z } from "zod";
import { SteeringError } from "../errors.js";

/** What a function takes, by the names of its parameters, in their order. A value is checked, never changed. */
export type Parameters = Readonly<Record<string, z.ZodType>>;

type AnyFunction = (this: unknown, ...args: never[]) => unknown;

/**
 * The public form of a function: one that is called with arguments of the wrong type throws E_BAD_ARGUMENT, or rejects with it,
 * before anything is done. What TypeScript's users cannot write, JavaScript's can; and past this edge nobody checks types again.
 *
 * @param last "rest": the last parameter stands for any number of them
 */
export function guarded<F extends AnyFunction>(name: string, call: F, parameters: Parameters, last: "single" | "rest" = "single"): F {
  const schemas = Object.entries(parameters);
  const check = (args: readonly unknown[]): void => {
    const rest = last === "rest" ? args.slice(schemas.length).map(() => schemas.at(-1)!) : [];
    for (const [index, [parameter, schema]] of [...schemas, ...rest].entries()) {
      const parsed = schema.safeParse(args[index]);
      if (!parsed.success) throw wrong(`${name}(${Object.keys(parameters).join(", ")})`, parameter, parsed.error.issues[0]!);
    }
  };
  const target = call as unknown as (this: unknown, ...args: unknown[]) => unknown;
  const wrapper = call.constructor.name === "AsyncFunction"
    ? async function (this: unknown, ...args: unknown[]) { check(args); return target.apply(this, args); }
    : function (this: unknown, ...args: unknown[]) { check(args); return target.apply(this, args); };
  for (const property of ["name", "length"] as const) Object.defineProperty(wrapper, property, { value: call[property], configurable: true });
  return wrapper as unknown as F;
}

/** Guard methods of a class, or its static functions, where they stand: the class itself remains what it is. */
export function guardMethods<Owner extends object>(name: string, owner: Owner, methods: { readonly [Name in keyof Owner]?: Parameters }): void {
  for (const [method, parameters] of Object.entries(methods) as Array<[keyof Owner & string, Parameters]>) {
    Object.defineProperty(owner, method, { value: guarded(`${name}.${method}`, owner[method] as AnyFunction, parameters), writable: true, configurable: true });
  }
}

function wrong(call: string, parameter: string, issue: z.core.$ZodIssue): SteeringError {
  const place = issue.path.reduce<string>((path, key) => (typeof key === "number" ? `${path}[${key}]` : `${path}.${String(key)}`), parameter);
  return new SteeringError("E_BAD_ARGUMENT", `${call}: ${place}: ${issue.message.replace(/^Invalid input: /, "")}`);
}
