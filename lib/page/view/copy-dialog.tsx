import { useSignal } from "@preact/signals";
import { hasApiKey } from "../api.js";
import { codeOf, LANGUAGES, LANGUAGE_TITLES, type Language } from "../logic/copy.js";
import { systemOf } from "../logic/prompted.js";
import { conversation, requestBody } from "../logic/request.js";
import { steeringOf } from "../logic/steering.js";
import { latest, said } from "../state/run.js";
import { announced, canChat, entries, model, setting, uses } from "../state/store.js";
import { Dialog } from "./dialog.js";
import { Choice } from "./choice.js";

const PLACEHOLDER = "Why do leaves change colour in autumn?";

/** The last question of a column as a program or command. */
export function CopyDialog({ close }: { close: () => void }) {
  const language = useSignal<Language>("library");
  const column = useSignal(String(setting.value.columns.length - 1));
  const code = copied(Number(column.value), language.value);
  return (
    <Dialog title="Copy as code" close={close}>
      <div class="choices">
        <Choice legend="Column" name="column" value={column}
          options={setting.value.columns.map((_, index) => [String(index), `Column ${index + 1}`])} />
        <Choice legend="Language" name="language" value={language} options={LANGUAGES.map((each) => [each, LANGUAGE_TITLES[each]])} />
      </div>
      <pre tabIndex={0} aria-label="Code"><code>{code}</code></pre>
      <div class="buttons">
        <CopyButton text={code} />
      </div>
    </Dialog>
  );
}

function CopyButton({ text }: { text: string }) {
  const copiedText = useSignal("");
  const isCopied = copiedText.value === text;
  return (
    <button type="button" class="primary" onClick={() => void navigator.clipboard.writeText(text).then(() => {
      copiedText.value = text;
      announced.value = "Copied.";
    })}>{isCopied ? "Copied" : "Copy"}</button>
  );
}

function copied(index: number, language: Language): string {
  const turn = latest();
  const question = turn?.question ?? (setting.value.prompt || PLACEHOLDER);
  const earlier = turn ? said(index, turn.answers[index]!) : [{ question }];
  const present = { ...setting.value, uses: uses.value };
  const system = systemOf(present, index, entries.value);
  const asked = conversation(canChat.value ? "chat" : "qa", earlier, system);
  const steering = steeringOf(present, index, entries.value);
  return codeOf(language, {
    model: setting.value.model ?? "", source: model.value?.source ?? null, question, asked, system, steering, entries: entries.value,
    body: requestBody(setting.value, asked, steering, turn?.seed ?? 0), origin: location.origin, needsKey: hasApiKey(),
  });
}
