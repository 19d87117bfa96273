import { useSignal } from "@preact/signals";
import { setApiKey } from "../api.js";
import { load } from "../state/store.js";
import { Dialog } from "./dialog.js";

/** Asks for the key of a server that wants one. */
export function KeyDialog() {
  const key = useSignal("");
  return (
    <Dialog title="API key">
      <form onSubmit={(event) => {
        event.preventDefault();
        setApiKey(key.value.trim());
        void load();
      }}>
        <p>This server wants the key that it was started with (<code>--api-key</code>). It is kept until you close this tab.</p>
        <label>Key
          <input type="password" required autocomplete="off" value={key.value}
            onInput={(event) => { key.value = event.currentTarget.value; }} />
        </label>
        <div class="buttons"><button class="primary">Continue</button></div>
      </form>
    </Dialog>
  );
}
