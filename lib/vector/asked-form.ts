import { isDeepStrictEqual } from "node:util";
import { formatOf, type Format, type Provenance } from "./provenance.js";

/** How questions were put to the model, in a vector's provenance. */
type AskedForm = Pick<Provenance, "format" | "system" | "templateVariables">;
type Variables = Readonly<Record<string, unknown>> | undefined;

/** What a vector records of how its questions were put to the model. */
export function askedForm(
  format: Format, { system, templateVariables = {} }: { system?: string | undefined; templateVariables?: Variables },
): AskedForm {
  return {
    format, ...(system !== undefined && { system }), ...(format === "chat" && { templateVariables: structuredClone(templateVariables) }),
  };
}

/** What all vectors have in common of it. */
export function sharedForm(from: readonly Provenance[]): AskedForm {
  const all = from.map((provenance) => ({ ...provenance, format: formatOf(provenance) }));
  const shared = <Name extends keyof AskedForm>(name: Name): Pick<AskedForm, Name> | undefined => {
    const value = all[0]![name];
    const isShared = value !== undefined && all.every((each) => isDeepStrictEqual(each[name], value));
    return isShared ? { [name]: value } as Pick<AskedForm, Name> : undefined;
  };
  return { ...shared("format"), ...shared("system"), ...shared("templateVariables") };
}

/**
 * A line for the user of a vector whose questions were put to the model in another way: in another format, or with other variables of the
 * chat template. Undefined if it was the same, or unknown.
 */
export function formatNotice(
  name: string, provenance: Provenance, used: { format: Format; templateVariables?: Variables },
): string | undefined {
  const made = formatOf(provenance);
  const { templateVariables: variables } = provenance;
  const weaker = "; its effect may be weaker, or need another alpha";
  if (made !== undefined && made !== used.format) {
    return `${name} was made in the format ${made}, but is used in the format ${used.format}${weaker}. `
      + `Extract a vector in the format ${used.format}, or use this one in the format ${made}`;
  }
  if (made !== "chat" || !variables || isDeepStrictEqual(variables, used.templateVariables ?? {})) return undefined;
  return `${name} was made with ${shownVariables(variables)}, but is used with ${shownVariables(used.templateVariables ?? {})}${weaker}`;
}

/** E.g. "the template variable enable_thinking=false". */
export function shownVariables(variables: NonNullable<Variables>): string {
  const names = Object.entries(variables).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  if (names.length === 0) return "no template variables";
  return `the template ${names.length === 1 ? "variable" : "variables"} ${names.join(", ")}`;
}
