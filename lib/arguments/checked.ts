import { z } from "zod";
import { SteeringError } from "../errors.js";
import type { OptionsSchema } from "./schemas.js";

/** Schemas of a function's parameters by name, in order. Values are checked, never changed. Options must refuse unknown ones. */
export type Parameters = Readonly<Record<string, z.ZodType>> & { readonly options?: OptionsSchema; readonly runOptions?: OptionsSchema };

/** Properties of a function that the function object does not show. */
interface How {
  /** The last parameter is a rest parameter. */
  isRest?: boolean;
  /** It returns a promise without being declared `async`. */
  rejects?: boolean;
}

type AnyFunction = (this: unknown, ...args: never[]) => unknown;

/**
 * Wrap a function for public use: called with arguments of the wrong type, it throws E_BAD_ARGUMENT, or rejects with it, before it
 * does anything. JavaScript callers have no compiler, and code inside this boundary does not check types again.
 */
export function checked<F extends AnyFunction>(
  name: string, call: F, parameters: Parameters, { isRest = false, rejects = call.constructor.name === "AsyncFunction" }: How = {},
): F {
  const schemas = Object.entries(parameters);
  const check = (args: readonly unknown[]): void => {
    const rest = isRest ? args.slice(schemas.length).map(() => schemas.at(-1)!) : [];
    for (const [index, [parameter, schema]] of [...schemas, ...rest].entries()) {
      const parsed = schema.safeParse(args[index]);
      if (!parsed.success) throw wrong(`${name}(${Object.keys(parameters).join(", ")})`, parameter, parsed.error.issues[0]!);
    }
  };
  const target = call as unknown as (this: unknown, ...args: unknown[]) => unknown;
  const wrapper = rejects
    ? async function (this: unknown, ...args: unknown[]) { check(args); return target.apply(this, args); }
    : function (this: unknown, ...args: unknown[]) { check(args); return target.apply(this, args); };
  for (const property of ["name", "length"] as const) {
    Object.defineProperty(wrapper, property, { value: call[property], configurable: true });
  }
  return wrapper as unknown as F;
}

/** Guard a method of the objects that a factory function creates, for objects without a class. */
export function making<Made extends object, F extends (...args: never[]) => Made | Promise<Made>>(
  make: F, name: string, method: keyof Made & string, parameters: Parameters,
): F {
  const guard = (made: Made): Made => {
    checkMethods(name, made, { [method]: parameters } as { readonly [Name in keyof Made]?: Parameters });
    return made;
  };
  const target = make as unknown as (...args: unknown[]) => Made | Promise<Made>;
  const isAsync = make.constructor.name === "AsyncFunction";
  const wrapper = isAsync
    ? async (...args: unknown[]) => guard(await target(...args))
    : (...args: unknown[]) => guard(target(...args) as Made);
  return wrapper as unknown as F;
}

/** Guard methods of a prototype, or static methods of a class, in place, so that the class keeps its identity. */
export function checkMethods<Owner extends object>(
  name: string, owner: Owner, methods: { readonly [Name in keyof Owner]?: Parameters }, how?: How,
): void {
  for (const [method, parameters] of Object.entries(methods) as Array<[keyof Owner & string, Parameters]>) {
    const value = checked(`${name}.${method}`, owner[method] as AnyFunction, parameters, how);
    Object.defineProperty(owner, method, { value, writable: true, configurable: true });
  }
}

function wrong(call: string, parameter: string, issue: z.core.$ZodIssue): SteeringError {
  const place = issue.path.reduce<string>(
    (path, key) => (typeof key === "number" ? `${path}[${key}]` : `${path}.${String(key)}`), parameter,
  );
  return new SteeringError("E_BAD_ARGUMENT", `${call}: ${place}: ${issue.message.replace(/^Invalid input: /, "")}`);
}
