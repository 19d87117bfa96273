import { useEffect, useRef } from "preact/hooks";
import { columnTitle, explained, kindTitle } from "../logic/titles.js";
import { isScheduled, KINDS, type Kind } from "../logic/setting.js";
import { askedBy } from "../logic/prompted.js";
import { partOf } from "../logic/steering.js";
import type { Answer } from "../state/answer.js";
import { follow, latest, turns } from "../state/run.js";
import { changeColumn, entries, loading, setRequest, setting, uses } from "../state/store.js";
import { Figures } from "./figures.js";
import { RowControl } from "./row-control.js";
import { Tokens } from "./tokens.js";

/** One way of steering, with its settings and its side of the conversation. */
export function Column({ index }: { index: number }) {
  const column = setting.value.columns[index]!;
  const kinds = uses.value.map((use) => partOf(column, use, entries.value.get(use.id))).filter(({ isOn }) => isOn).map(({ kind }) => kind);
  const title = columnTitle(column.kind === "prompted" ? ["prompted"] : kinds);
  return (
    <section class="column" aria-label={`Column ${index + 1}: ${title}`}>
      <div class="how">
        <div class="kind">
          <select aria-label={`Schedule of column ${index + 1}`} value={column.kind}
            onChange={(event) => choose(index, event.currentTarget.value as Kind)}>
            {KINDS.map((kind) => <option key={kind} value={kind}>{kindTitle(kind)}</option>)}
          </select>
          <p>{explained(column.kind)}</p>
        </div>
        {column.kind === "prompted" && <Request index={index} />}
        {isScheduled(column.kind) && uses.value.map(({ id }) => <RowControl key={id} index={index} id={id} />)}
        {isScheduled(column.kind) && uses.value.length === 0 && <p class="hint">Turn on a vector to steer.</p>}
      </div>
      <Transcript index={index} />
      <Figures answer={latest()?.answers[index]} index={index} />
    </section>
  );
}

/** What a prompted column asks the model for; cleared, it is again what the vectors in use do. */
function Request({ index }: { index: number }) {
  return (
    <textarea class="request" rows={2} aria-label={`System message of column ${index + 1}`}
      placeholder="Turn on a vector, or write a system message."
      value={askedBy({ ...setting.value, uses: uses.value }, index, entries.value)}
      onChange={(event) => setRequest(index, event.currentTarget.value)} />
  );
}

function choose(index: number, kind: Kind): void {
  const { rows } = setting.value.columns[index]!;
  const alike = Object.fromEntries(Object.entries(rows).map(([id, { kind: _, ...row }]) => [id, row]));
  changeColumn(index, { kind, rows: alike });
  for (const { id } of uses.value) follow(index, id);
}

function Transcript({ index }: { index: number }) {
  const list = turns.value;
  return (
    <div class="transcript">
      {list.length === 0 && <p class="empty">{loading.value === "" ? "The answer will appear here." : ""}</p>}
      {list.map(({ question, answers }, turn) => (
        <div class="turn" key={turn}>
          <p class="question">{question}</p>
          <Reply answer={answers[index]!} index={index} isLast={turn === list.length - 1} />
        </div>
      ))}
    </div>
  );
}

function Reply({ answer, index, isLast }: { answer: Answer; index: number; isLast: boolean }) {
  const end = useRef<HTMLDivElement>(null);
  const version = answer.version.value;
  // The end stays in sight, unless the reader has scrolled up.
  useEffect(() => {
    const box = end.current?.closest(".transcript");
    if (!box || !isLast || !answer.isRunning) return;
    if (box.scrollHeight - box.scrollTop - box.clientHeight < 80) box.scrollTop = box.scrollHeight;
  }, [version]);
  return (
    <div class={`reply ${answer.status}`} ref={end}>
      <Tokens answer={answer} index={isLast ? index : undefined} label={`Answer of column ${index + 1}, ${answer.title}`} />
      {answer.status === "failed" && <p class="problem" role="alert">{answer.error}</p>}
      {answer.status === "stopped" && <span class="note"> (stopped)</span>}
    </div>
  );
}
