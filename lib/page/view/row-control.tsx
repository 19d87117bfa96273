import { howWords } from "../logic/how.js";
import type { Changes } from "../logic/loose.js";
import { MAX_ALPHA, MAX_TOP_P, type Row, type ScheduleKind } from "../logic/setting.js";
import { defaultRow, kindsFor, knownMax, MEASURED_MAX, partOf } from "../logic/steering.js";
import { kindTitle } from "../logic/titles.js";
import { follow } from "../state/run.js";
import { changeRow, entries, setting, titleOfId, useOf, uses } from "../state/store.js";
import { NumberBox } from "./number-box.js";

const LARGEST_ALPHA = 4;
/** The sliders of budgets, in nats. */
const NATS = { token: { max: 3, step: 0.05 }, answer: { max: 50, step: 0.5 } } as const;

/** A vector in a column: whether it is on there, how it is scheduled, and how strongly. Running answers follow. */
export function RowControl({ index, id }: { index: number; id: string }) {
  const column = setting.value.columns[index]!;
  const [entry, use] = [entries.value.get(id), useOf(id)];
  const { row, kind, how } = partOf(column, use, entry);
  const title = titleOfId(id);
  const words = howWords(use.how ?? {}, titleOfId).join(", ");
  const set = (changes: Changes<Row>): void => {
    changeRow(index, id, changes);
    follow(index, id);
  };
  return (
    <div class={`row ${row.on ? "" : "off"}`}>
      <label class="name">
        <input type="checkbox" checked={row.on} onChange={(event) => set({ on: event.currentTarget.checked })} />
        <span>{title}</span>
      </label>
      {(uses.value.length > 1 || kind !== column.kind) && (
        <select aria-label={`Schedule of ${title}`} value={kind} disabled={!row.on}
          onChange={(event) => set({ kind: event.currentTarget.value as ScheduleKind })}>
          {kindsFor(how).map((each) => <option key={each} value={each}>{kindTitle(each)}</option>)}
        </select>
      )}
      {kind === "dynamic" && (
        <Slider label="p" name={`p of ${title}`} value={row.topP} max={MAX_TOP_P} min={0.05} disabled={!row.on}
          onInput={(topP) => set({ topP })} />
      )}
      {kind === "budget" && <Budget title={title} row={row} most={row.alphaMax ?? knownMax(entry, how) ?? MEASURED_MAX} set={set} />}
      {kind !== "dynamic" && kind !== "budget" && (
        <Slider label="α" name={`Alpha of ${title}`} value={row.alpha} min={0} disabled={!row.on}
          max={Math.max(LARGEST_ALPHA, 2 * defaultRow(entry, how).alpha, row.alpha)} onInput={(alpha) => set({ alpha })} />
      )}
      {words !== "" && (
        <button type="button" class="chip" aria-pressed={!row.isPlain} disabled={!row.on}
          title={`${words}. ${row.isPlain ? "Not in this column, from its next answer on." : "Click to leave this out in this column."}`}
          onClick={() => changeRow(index, id, { isPlain: row.isPlain ? undefined : true })}>{words}</button>
      )}
    </div>
  );
}

/** What a token or the answer may spend, and the largest alpha. */
function Budget({ title, row, most, set }: {
  title: string; row: Row; most: number; set: (changes: Changes<Row>) => void;
}) {
  const { max, step } = NATS[row.per];
  return (
    <>
      <Slider label="nats" name={`Budget of ${title}, in nats`} value={row.nats} min={0} max={Math.max(max, row.nats)} step={step} disabled={!row.on}
        onInput={(nats) => set({ nats })} />
      <select aria-label={`What the budget of ${title} is for`} value={row.per} disabled={!row.on}
        onChange={(event) => set({ per: event.currentTarget.value as Row["per"], nats: undefined })}>
        <option value="token">per token</option>
        <option value="answer">per answer</option>
      </select>
      <NumberBox label="α ≤" name={`Largest alpha of ${title}`} value={most} max={MAX_ALPHA} step={0.1} disabled={!row.on}
        onChange={(alphaMax) => set({ alphaMax })} />
    </>
  );
}

function Slider({ label, name, value, min, max, step = 0.05, disabled, onInput }: {
  label: string; name: string; value: number; min: number; max: number; step?: number; disabled: boolean; onInput: (value: number) => void;
}) {
  return (
    <label class="slider">
      <span aria-hidden="true">{label}</span>
      <input type="range" aria-label={name} min={min} max={max} step={step} value={value} disabled={disabled}
        onInput={(event) => onInput(event.currentTarget.valueAsNumber)} />
      <output>{value.toFixed(step < 0.5 ? 2 : 1)}</output>
    </label>
  );
}
