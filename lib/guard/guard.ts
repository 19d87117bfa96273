import { z } from "zod";
import { SteeringError } from "../errors.js";

/** What a function takes, by the names of its parameters, in their order. A value is checked, never changed. */
export type Parameters = Readonly<Record<string, z.ZodType>>;

/** What a function's own form does not say. */
interface How {
  /** The last parameter stands for any number of them. */
  isRest?: boolean;
  /** It returns a promise, without being declared `async`. */
  rejects?: boolean;
}

type AnyFunction = (this: unknown, ...args: never[]) => unknown;

/**
 * The public form of a function: one that is called with arguments of the wrong type throws E_BAD_ARGUMENT, or rejects with it,
 * before anything is done. What TypeScript's users cannot write, JavaScript's can; and past this edge nobody checks types again.
 */
export function guarded<F extends AnyFunction>(name: string, call: F, parameters: Parameters, { isRest = false, rejects = call.constructor.name === "AsyncFunction" }: How = {}): F {
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
  for (const property of ["name", "length"] as const) Object.defineProperty(wrapper, property, { value: call[property], configurable: true });
  return wrapper as unknown as F;
}

/** Guard a method of what a function makes, where no class has it. */
export function making<Made extends object, F extends (...args: never[]) => Made | Promise<Made>>(make: F, name: string, method: keyof Made & string, parameters: Parameters): F {
  const guard = (made: Made): Made => {
    guardMethods(name, made, { [method]: parameters } as { readonly [Name in keyof Made]?: Parameters });
    return made;
  };
  const target = make as unknown as (...args: unknown[]) => Made | Promise<Made>;
  const isAsync = make.constructor.name === "AsyncFunction";
  return (isAsync ? async (...args: unknown[]) => guard(await target(...args)) : (...args: unknown[]) => guard(target(...args) as Made)) as unknown as F;
}

/** Guard methods of a class, or its static functions, where they stand: the class itself remains what it is. */
export function guardMethods<Owner extends object>(name: string, owner: Owner, methods: { readonly [Name in keyof Owner]?: Parameters }, how?: How): void {
  for (const [method, parameters] of Object.entries(methods) as Array<[keyof Owner & string, Parameters]>) {
    Object.defineProperty(owner, method, { value: guarded(`${name}.${method}`, owner[method] as AnyFunction, parameters, how), writable: true, configurable: true });
  }
}

function wrong(call: string, parameter: string, issue: z.core.$ZodIssue): SteeringError {
  const place = issue.path.reduce<string>((path, key) => (typeof key === "number" ? `${path}[${key}]` : `${path}.${String(key)}`), parameter);
  return new SteeringError("E_BAD_ARGUMENT", `${call}: ${place}: ${issue.message.replace(/^Invalid input: /, "")}`);
}
