import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { VectorEntry } from "../../server/schemas/index.js";
import { howWords, OPERATORS, type Gate, type How, type Operator } from "../logic/how.js";
import { cleaned, type Changes } from "../logic/loose.js";
import type { Use } from "../logic/setting.js";
import { layersText, parseLayers } from "../logic/shorthand.js";
import { refusalOf } from "../state/checking.js";
import { isRunning } from "../state/run.js";
import { changeUse, probesOfModel, setting, titleOfId } from "../state/store.js";
import { GateFields, OnlyFields } from "./when.js";

const DOES: Readonly<Record<Operator | "add", readonly [title: string, explained: string]>> = {
  add: ["Add it", "Adds alpha times the vector."],
  project: ["Add it up to a target", "Adds only what is missing up to alpha times the vector."],
  ablate: ["Remove it", "Removes what lies along the vector: with alpha 1, all of it."],
  clamp: ["Limit it", "Keeps what lies along the vector within ± alpha times it."],
};

export type SetHow = (changes: Changes<How>) => void;

/** What is done with a vector, where and when, in all columns. */
export function HowAndWhen({ entry, use, title }: { entry: VectorEntry; use: Use; title: string }) {
  const how = use.how ?? {};
  const refusal = useRefusal(use);
  const set: SetHow = (changes) => changeUse(use.id, { how: cleaned<How>({ ...how, ...changes }) });
  const words = howWords(how, titleOfId).join(", ");
  return (
    <>
      {words !== "" && <p class="used">{words}</p>}
      <p class="problem" role="status">{refusal}</p>
      <details>
        <summary>How and when<span class="only-read"> to use {title}</span></summary>
        <div class="fields">
          <WhatFields id={use.id} how={how} set={set} />
          <Layers entry={entry} written={use.layers} />
          <GateFields how={how} set={set} />
          <OnlyFields how={how} set={set} />
          {isRunning() && <p class="hint">Takes effect with the next answer.</p>}
        </div>
      </details>
    </>
  );
}

/** What the server has against a use, so that it is known before a question is asked. */
function useRefusal(use: Use): string {
  const refusal = useSignal("");
  const { model } = setting.value;
  const hasProbe = probesOfModel.value.some(({ id }) => id === use.how?.gate?.probe); // it may be deleted, or uploaded
  useEffect(() => {
    let isCurrent = true;
    void refusalOf(use, model).then((message) => { if (isCurrent) refusal.value = message; });
    return () => { isCurrent = false; };
  }, [JSON.stringify(use), model, hasProbe]);
  return refusal.value;
}

function WhatFields({ id, how: { operator, keepNorm, gate }, set }: { id: string; how: How; set: SetHow }) {
  const name = operator ?? "add";
  return (
    <>
      <label>What to do
        <select aria-label="What to do" aria-describedby={`what-${id}`} value={name} onChange={(event) => {
          const chosen = OPERATORS.find((each) => each === event.currentTarget.value);
          // The smaller the alpha of a clamp, the more it changes: it has hard gates only.
          set({ operator: chosen, gate: chosen === "clamp" && gate ? cleaned<Gate>({ ...gate, shape: undefined }) : gate });
        }}>
          {(["add", ...OPERATORS] as const).map((each) => <option key={each} value={each}>{DOES[each][0]}</option>)}
        </select>
        <span class="hint" id={`what-${id}`}>{DOES[name][1]}</span>
      </label>
      <label class="check" title="Activations get the length that they had before.">
        <input type="checkbox" checked={keepNorm === true}
          onChange={(event) => set({ keepNorm: event.currentTarget.checked || undefined })} />
        Keep the norm
      </label>
    </>
  );
}

function Layers({ entry: { id, layers }, written }: { entry: VectorEntry; written: string }) {
  const wrong = useSignal("");
  return (
    <label>Layers
      <input value={written} spellcheck={false} aria-invalid={wrong.value !== ""} aria-describedby={`layers-${id}`} onChange={(event) => {
        const chosen = parseLayers(event.currentTarget.value);
        const unknown = Array.isArray(chosen) ? chosen.filter((layer) => !layers.includes(layer)) : [];
        if (chosen === undefined) wrong.value = "Expected “all”, or numbers and ranges such as 4-9+12.";
        else if (unknown.length > 0) wrong.value = `The vector has no layer ${unknown.join(", ")}.`;
        else {
          wrong.value = "";
          changeUse(id, { layers: chosen === "all" ? "all" : layersText(chosen) });
        }
      }} />
      <span id={`layers-${id}`} class={wrong.value === "" ? "hint" : "problem"}>{wrong.value || `“all”, or some of ${layersText(layers)}`}</span>
    </label>
  );
}
