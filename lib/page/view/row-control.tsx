import { isScheduled, KINDS, MAX_TOP_P, type Row, type ScheduleKind } from "../logic/setting.js";
import { defaultRow, kindOf, rowOf, titleOf } from "../logic/steering.js";
import { kindTitle } from "../logic/titles.js";
import { follow } from "../state/run.js";
import { changeRow, entries, setting, uses } from "../state/store.js";

const ROW_KINDS = KINDS.filter(isScheduled);
const LARGEST_ALPHA = 4;

/** A vector in a column: whether it is on there, how it is scheduled, and how strongly. Running answers follow. */
export function RowControl({ index, id }: { index: number; id: string }) {
  const column = setting.value.columns[index]!;
  const entry = entries.value.get(id);
  const row = rowOf(column, id, entry);
  const kind = kindOf(column, { ...row, on: true }) as ScheduleKind;
  const title = titleOf(entry, id);
  const largest = Math.max(LARGEST_ALPHA, 2 * defaultRow(entry).alpha, row.alpha);
  const set = (changes: Partial<Row>): void => {
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
          {ROW_KINDS.map((each) => <option key={each} value={each}>{kindTitle(each)}</option>)}
        </select>
      )}
      {kind === "dynamic"
        ? <Slider label="p" title={title} value={row.topP} max={MAX_TOP_P} min={0.05} disabled={!row.on}
          onInput={(topP) => set({ topP })} />
        : <Slider label="α" title={title} value={row.alpha} max={largest} min={0} disabled={!row.on} onInput={(alpha) => set({ alpha })} />}
    </div>
  );
}

function Slider({ label, title, value, min, max, disabled, onInput }: {
  label: string; title: string; value: number; min: number; max: number; disabled: boolean; onInput: (value: number) => void;
}) {
  return (
    <label class="slider">
      <span aria-hidden="true">{label}</span>
      <input type="range" aria-label={`${label === "p" ? "p" : "Alpha"} of ${title}`} min={min} max={max} step={0.05} value={value}
        disabled={disabled} onInput={(event) => onInput(event.currentTarget.valueAsNumber)} />
      <output>{value.toFixed(2)}</output>
    </label>
  );
}
