import { gateWith, type Gate, type How, type Only } from "../logic/how.js";
import { cleaned, type Changes } from "../logic/loose.js";
import { MOST_TOKENS } from "../logic/setting.js";
import { probesOfModel, titleOfId } from "../state/store.js";
import type { SetHow } from "./how.js";
import { NumberBox } from "./number-box.js";

/** The probe that decides whether the vector acts, and how it decides. */
export function GateFields({ how: { gate, operator }, set }: { how: How; set: SetHow }) {
  const ids = probesOfModel.value.map(({ id }) => id);
  if (ids.length === 0 && gate === undefined) {
    return <p class="hint begins">To act only when a probe sees something, train one (llama-steer probe train) and upload its file.</p>;
  }
  const change = (changes: Changes<Gate>): void =>
    set({ gate: gateWith(gate, changes) });
  const known = gate === undefined || ids.includes(gate.probe) ? ids : [gate.probe, ...ids];
  return (
    <>
      <label class="begins">Only when a probe sees
        <select aria-label="Only when a probe sees" value={gate?.probe ?? ""} onChange={({ currentTarget: { value } }) => {
          if (value === "") set({ gate: undefined });
          else change({ probe: value });
        }}>
          <option value="">no probe: always</option>
          {known.map((id) => <option key={id} value={id}>{titleOfId(id)}</option>)}
        </select>
      </label>
      {gate && <Rule gate={gate} mayBeSmooth={operator !== "clamp"} change={change} />}
    </>
  );
}

function Rule({ gate: { above, below, until, per, shape }, mayBeSmooth, change }: {
  gate: Gate; mayBeSmooth: boolean; change: (changes: Changes<Gate>) => void;
}) {
  const threshold = below ?? above ?? 0;
  const isBelow = below !== undefined;
  const choose = (value: number, under: boolean): void => {
    const isKept = until !== undefined && under === isBelow && (under ? until >= value : until <= value);
    change({ above: under ? undefined : value, below: under ? value : undefined, until: isKept ? until : undefined });
  };
  return (
    <>
      <div class="pair">
        <label>Probability
          <select aria-label="Probability" value={isBelow ? "below" : "above"}
            onChange={(event) => choose(threshold, event.currentTarget.value === "below")}>
            <option value="above">at least</option>
            <option value="below">at most</option>
          </select>
        </label>
        <NumberBox label="Threshold" value={threshold} max={1} step={0.05} onChange={(value) => choose(value ?? 0.5, isBelow)} />
      </div>
      <div class="pair">
        <label>Read at
          <select aria-label="Read at" value={per ?? "token"} onChange={(event) => (
            change(event.currentTarget.value === "prompt" ? { per: "prompt", until: undefined } : { per: undefined })
          )}>
            <option value="token">each token</option>
            <option value="prompt">the prompt</option>
          </select>
        </label>
        {mayBeSmooth && (
          <label>Opens
            <select aria-label="Opens" value={shape ?? "hard"}
              onChange={(event) => change({ shape: event.currentTarget.value === "smooth" ? "smooth" : undefined })}>
              <option value="hard">fully</option>
              <option value="smooth">by degrees</option>
            </select>
          </label>
        )}
      </div>
      {per !== "prompt" && (
        <NumberBox label={`Once open, until ${isBelow ? "above" : "below"}`} value={until} max={1} step={0.05}
          placeholder={`the threshold, ${threshold}`} onChange={(value) => change({ until: value })} />
      )}
    </>
  );
}

/** The tokens at which the vector acts. */
export function OnlyFields({ how: { only = {} }, set }: { how: How; set: SetHow }) {
  const change = (changes: Changes<Only>): void => {
    const chosen = cleaned<Only>({ ...only, ...changes });
    set({ only: Object.keys(chosen).length > 0 ? chosen : undefined });
  };
  const { from, to, words, since } = only;
  const setFrom = (first: number | undefined): void =>
    change({ from: first && first - 1, to: to !== undefined && first !== undefined && to < first ? undefined : to });
  const setTo = (last: number | undefined): void =>
    change({ to: last, from: from !== undefined && last !== undefined && from >= last ? undefined : from });
  return (
    <>
      <div class="pair begins">
        <NumberBox label="From token" value={from === undefined ? from : from + 1} min={1} max={MOST_TOKENS} step={1} placeholder="first"
          onChange={setFrom} />
        <NumberBox label="To token" value={to} min={1} max={MOST_TOKENS} step={1} placeholder="last" onChange={setTo} />
      </div>
      <label class="check">
        <input type="checkbox" checked={words !== undefined}
          onChange={(event) => change({ words: event.currentTarget.checked ? "first" : undefined })} />
        Only where words begin
      </label>
      <label>Once the answer contains
        <input value={since ?? ""} maxLength={1000} spellcheck={false} placeholder="any text"
          onChange={(event) => change({ since: event.currentTarget.value === "" ? undefined : event.currentTarget.value })} />
      </label>
    </>
  );
}
