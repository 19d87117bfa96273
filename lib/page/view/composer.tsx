import { useComputed } from "@preact/signals";
import { titleOf } from "../logic/steering.js";
import { MOST_TOKENS } from "../logic/setting.js";
import { again, ask, clear, isRunning, latest, stopAll, turns } from "../state/run.js";
import { canChat, change, loading, ofModel, setting } from "../state/store.js";
import { Menu } from "./menu.js";

export function Composer() {
  const { prompt } = setting.value;
  const running = useComputed(isRunning).value;
  const submit = (): void => {
    if (running) return;
    void ask(prompt);
  };
  return (
    <form class="composer" onSubmit={(event) => {
      event.preventDefault();
      submit();
    }}>
      <div class="ask">
        <label class="only-read" for="question">Question</label>
        <textarea id="question" rows={2} value={prompt} enterkeyhint="send"
          placeholder={turns.value.length > 0 && canChat.value ? "Ask all three again …" : "Ask all three at once …"}
          onInput={(event) => change({ prompt: event.currentTarget.value })}
          onKeyDown={(event) => {
            if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
            event.preventDefault();
            submit();
          }} />
        {running
          ? <button type="button" class="primary" onClick={stopAll}>Stop</button>
          : <button type="submit" class="primary" disabled={prompt.trim() === "" || loading.value !== ""}>Ask</button>}
      </div>
      <div class="under">
        <Examples />
        <span class="gap" />
        <button type="button" class="quiet" disabled={running || latest() === undefined} onClick={() => void again()}>Ask again</button>
        <button type="button" class="quiet" disabled={latest() === undefined} onClick={clear}>Clear</button>
        <Menu title="Options"><Options /></Menu>
      </div>
    </form>
  );
}

/** One click on a ready-made vector shows what it does. */
function Examples() {
  const examples = ofModel.value.filter(({ sample }) => sample !== null).slice(0, 4);
  if (examples.length === 0) return null;
  return (
    <div class="examples" role="group" aria-label="Examples">
      <span>Try</span>
      {examples.map((entry) => (
        <button type="button" class="chip" key={entry.id} disabled={isRunning()} onClick={() => {
          change({ uses: [{ id: entry.id, layers: "all" }] });
          clear();
          void ask(entry.sample!.question);
        }}>{titleOf(entry, entry.id)}</button>
      ))}
    </div>
  );
}

function Options() {
  const { maxTokens, temperature, system } = setting.value;
  return (
    <div class="options">
      <label>Tokens at most
        <input type="number" min={1} max={MOST_TOKENS} value={maxTokens} onChange={(event) => {
          const { valueAsNumber } = event.currentTarget;
          change({ maxTokens: Math.min(MOST_TOKENS, Math.max(1, Math.round(valueAsNumber) || maxTokens)) });
        }} />
      </label>
      <label>Temperature
        <input type="number" min={0} max={2} step={0.1} value={temperature} onChange={(event) => {
          const { valueAsNumber } = event.currentTarget;
          change({ temperature: Math.min(2, Math.max(0, Number.isFinite(valueAsNumber) ? valueAsNumber : temperature)) });
        }} />
      </label>
      <label>System message
        <textarea rows={3} value={system} onChange={(event) => change({ system: event.currentTarget.value })} />
      </label>
    </div>
  );
}
