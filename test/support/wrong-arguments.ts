// Ways to make right arguments wrong.

/** What the caller's own functions throw: it must come back as it is. */
export const OWN = new TypeError("the caller's own");
const WRONG: readonly unknown[] = [
  undefined, null, 0, -1, 1.5, NaN, Infinity, 1e12, 7n, true, "", "no such thing", "nul\0inside", "x".repeat(5000), Symbol("s"), {}, [],
  [null], [[]], [undefined, 3], [{}], () => { throw OWN; },
  new Date(0), new Map(), /x/, new Uint8Array(3), new Float32Array(2), Object.create(null), { length: -1 }, { length: 3 },
  { constructor: 1 }, { then: 1 }, new Error("e"), new Proxy({}, {}), Buffer.from("PAR1"), { kind: "fixed" }, { rows: 1 }, { path: "p" },
  [NaN], ["a", 1],
];

/** The same arguments with one thing wrong: an argument, or something inside one; or one too few. */
export function wrongArguments(args: readonly unknown[], random: () => number): unknown[] {
  const draw = (n: number): number => Math.floor(random() * n);
  const wrong = (): unknown => WRONG[draw(WRONG.length)];
  if (random() < 0.05) return args.slice(0, draw(args.length));
  const at = draw(args.length);
  return args.map((value, index) => (index === at ? spoiled(value, 3) : value));

  function spoiled(value: unknown, depth: number): unknown {
    if (depth === 0 || random() < 0.4 || typeof value !== "object" || value === null || !isPlain(value)) return wrong();
    const keys = Object.keys(value);
    if (keys.length === 0) return wrong();
    const key = keys[draw(Math.min(keys.length, 30))]!;
    if (Array.isArray(value)) return value.map((each, index) => (String(index) === key ? spoiled(each, depth - 1) : each as unknown));
    const { [key]: old, ...rest } = value as Record<string, unknown>;
    return random() < 0.2 ? rest : { ...rest, [key]: spoiled(old, depth - 1) };
  }
}

function isPlain(value: object): boolean {
  return Array.isArray(value) || Object.prototype.toString.call(value) === "[object Object]" && /^(Object|SteeringVector)$/.test(
    value.constructor?.name ?? "Object",
  );
}
