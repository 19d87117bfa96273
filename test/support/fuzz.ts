/** The parts of JSON Schema that our descriptions use. */
export interface Schema {
  type?: string | string[];
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  prefixItems?: Schema[];
  anyOf?: Schema[];
  oneOf?: Schema[];
  enum?: unknown[];
  const?: unknown;
  minimum?: number;
  exclusiveMinimum?: number;
  minLength?: number;
}

const STRANGE: readonly unknown[] = [
  null, true, -1, 1.5, 1e308, -1e-308, "", "x".repeat(10_000), "\u0000", "\ud800", "../../etc/passwd", "{{7*7}}", [], [[]], [null], {},
  { constructor: { prototype: 1 } }, { length: -1 }, [1, "a", null], "NaN", 2 ** 53, "one:dyn,p=", "one:fixed,1e999", "::::",
];

/** Values that fit a schema, and such with one thing wrong. */
export class Fuzzer {
  constructor(private readonly random: () => number) {}

  /** A value that fits, small. */
  right(schema: Schema): unknown {
    if (schema.const !== undefined) return schema.const;
    if (schema.enum) return this.pick(schema.enum);
    const options = schema.anyOf ?? schema.oneOf;
    if (options) return this.right(this.pick(options));
    const type = Array.isArray(schema.type) ? this.pick(schema.type) : schema.type;
    switch (type) {
      case "object": return Object.fromEntries(Object.entries(schema.properties ?? {})
        .filter(([name]) => schema.required?.includes(name) || this.random() < 0.15).map(([name, each]) => [name, this.right(each)]));
      case "array": return schema.prefixItems?.map((each) => this.right(each)) ?? [this.right(schema.items ?? {})];
      case "integer": return Math.max(1, schema.minimum ?? 1);
      case "number": return Math.max(0.5, schema.minimum ?? 0);
      case "boolean": return this.random() < 0.5;
      case "string": return "text".padEnd(schema.minLength ?? 0);
      default: return null;
    }
  }

  /** Something strange in the place of one part, or a part too many or too few. */
  wrong(value: unknown): unknown {
    if (typeof value !== "object" || value === null || this.random() < 0.15) return this.pick(STRANGE);
    const keys = Object.keys(value);
    const kind = this.random();
    if (kind < 0.15 || keys.length === 0) return { ...value, [this.pick(["temprature", "__proto__", "", "0"])]: this.pick(STRANGE) };
    const key = this.pick(keys);
    const copy = (Array.isArray(value) ? [...value as unknown[]] : { ...value }) as Record<string, unknown>;
    if (kind < 0.3 && !Array.isArray(value)) delete copy[key];
    else copy[key] = this.wrong(copy[key]);
    return copy;
  }

  /** The text of a request with something wrong below JSON. */
  wrongText(text: string): string {
    const place = Math.floor(this.random() * text.length);
    return this.pick([
      text.slice(0, place), `${text.slice(0, place)}\u0000${text.slice(place)}`, `${text}${text}`, `[${text}`, text.replace(/:/, ""), "NaN",
      `${"[".repeat(300)}${text}`,
    ]);
  }

  pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.random() * from.length)]!;
  }
}
