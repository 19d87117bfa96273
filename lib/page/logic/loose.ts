/** A JSON object of which nothing is known. */
export type Loose = Readonly<Record<string, unknown>>;

export const isObject = (value: unknown): value is Loose => typeof value === "object" && value !== null && !Array.isArray(value);

export const within = (value: unknown, least: number, most: number): value is number =>
  typeof value === "number" && value >= least && value <= most;

/** Some fields of an object; undefined stands for what is usual without the field. */
export type Changes<Fields> = { [Name in keyof Fields]?: Fields[Name] | undefined };

/** Without the fields that are undefined. */
export function cleaned<Fields extends object>(fields: Changes<Fields>): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Fields;
}
