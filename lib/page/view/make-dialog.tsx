import { useSignal, type Signal } from "@preact/signals";
import { EXPECTED, parsePairs } from "../logic/pairs.js";
import { cancel, isMaking, job, make, refused } from "../state/making.js";
import { canChat } from "../state/store.js";
import { Choice } from "./choice.js";
import { Dialog } from "./dialog.js";
import { Made } from "./made.js";

type Way = "words" | "pairs";
const WAYS = [["words", "Two descriptions"], ["pairs", "Pairs of texts"]] as const;

/** Makes a vector for the model, in the background; closing the dialog does not cancel it. */
export function MakeDialog({ close }: { close: () => void }) {
  const way = useSignal<Way>(canChat.value ? "words" : "pairs");
  const failed = job.value?.status === "failed" ? job.value.error?.message : undefined;
  return (
    <Dialog title="Make a vector" close={close}>
      {job.value?.status === "succeeded" && job.value.vector
        ? <Made vector={job.value.vector} close={close} />
        : (
          <>
            {canChat.value && <Choice legend="From" name="way" value={way} options={WAYS} />}
            {way.value === "words" ? <Words /> : <Pairs />}
            <Progress />
            {(refused.value || failed) && <p class="problem" role="alert">{refused.value || failed}</p>}
          </>
        )}
    </Dialog>
  );
}

const towards = { current: "" };

/** Remembers what was written while the dialog is closed. */
function useWritten(kept: { current: string }): Signal<string> {
  const written = useSignal(kept.current);
  kept.current = written.value;
  return written;
}

const away = { current: "" };

function Words() {
  const wanted = useWritten(towards);
  const unwanted = useWritten(away);
  return (
    <form onSubmit={(event) => {
      event.preventDefault();
      void make({ towards: wanted.value.trim(), ...(unwanted.value.trim() !== "" && { away: unwanted.value.trim() }) });
    }}>
      <p>Complete the sentence “You are someone who …”. The model answers everyday questions in both ways; the difference is the vector.</p>
      <Field label="Towards" example="speaks like a cheerful friend" written={wanted} required />
      <Field label="Away from (optional)" example="is a gloomy pessimist" written={unwanted} />
      <MakeButton isReady={wanted.value.trim() !== ""} />
    </form>
  );
}

function Field({ label, example, written, required = false }: {
  label: string; example: string; written: Signal<string>; required?: boolean;
}) {
  return (
    <label>{label}
      <input value={written.value} required={required} placeholder={example} disabled={isMaking()}
        onInput={(event) => { written.value = event.currentTarget.value; }} />
    </label>
  );
}

const EXAMPLE = "How are you? | Splendid, thank you! | Miserable, as always.\nIs it raining? | Yes, how refreshing! | Of course it is.";
const pasted = { current: "" };

function Pairs() {
  const written = useWritten(pasted);
  const names = { wanted: useSignal(""), unwanted: useSignal("") };
  const { pairs, wrong } = read(written.value);
  const named = names.wanted.value.trim() !== "" && names.unwanted.value.trim() !== "";
  return (
    <form onSubmit={(event) => {
      event.preventDefault();
      void make({ pairs, ...(named && { names: [names.wanted.value.trim(), names.unwanted.value.trim()] }) });
    }}>
      <label>Pairs of texts
        <textarea rows={7} value={written.value} disabled={isMaking()} aria-describedby="pairs-expected"
          placeholder={EXAMPLE}
          onInput={(event) => { written.value = event.currentTarget.value; }} />
      </label>
      <p id="pairs-expected" class={wrong === "" ? "hint" : "problem"}>
        {wrong || (pairs.length === 0 ? EXPECTED : `${pairs.length} pairs`)}
      </p>
      <div class="sides">
        <Field label="Name of the wanted side" example="formal" written={names.wanted} />
        <Field label="Name of the other side" example="informal" written={names.unwanted} />
      </div>
      <MakeButton isReady={pairs.length > 0} />
    </form>
  );
}

function read(text: string): { pairs: ReturnType<typeof parsePairs>; wrong: string } {
  try {
    return { pairs: parsePairs(text), wrong: "" };
  } catch (error) {
    return { pairs: [], wrong: (error as Error).message };
  }
}

const MakeButton = ({ isReady }: { isReady: boolean }) => (
  <div class="buttons">
    {isMaking()
      ? <button type="button" class="outline" onClick={() => void cancel()}>Cancel</button>
      : <button class="primary" disabled={!isReady}>Make the vector</button>}
  </div>
);

/** There is always room for it, so that nothing moves when it begins. */
function Progress() {
  const { status, progress } = job.value ?? {};
  const isKnown = progress !== null && progress !== undefined && progress.total > 0;
  const share = isKnown ? progress.done / progress.total : undefined;
  return (
    <div class="progress">
      {isMaking() && (
        <label>{status === "queued" ? "Waiting for another job" : capital(progress?.stage ?? "starting")}
          {share === undefined ? " …" : `: ${Math.round(share * 100)} %`}
          <progress {...(share !== undefined && { value: share })} max={1} />
        </label>
      )}
      {status === "cancelled" && <p class="hint">Cancelled.</p>}
    </div>
  );
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
