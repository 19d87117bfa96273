import { useSignal } from "@preact/signals";
import { keyWanted } from "../api.js";
import { announced, loading, problem, server, setting } from "../state/store.js";
import { Charts } from "./charts.js";
import { Column } from "./column.js";
import { Composer } from "./composer.js";
import { CopyDialog } from "./copy-dialog.js";
import { Header, type Opened } from "./header.js";
import { Inspector } from "./inspector.js";
import { KeyDialog } from "./key-dialog.js";
import { Legend } from "./legend.js";
import { MakeDialog } from "./make-dialog.js";
import { Vectors } from "./vectors.js";

export function App() {
  const opened = useSignal<Opened>("");
  const close = (): void => { opened.value = ""; };
  return (
    <>
      <Header opened={opened} />
      <main>
        <Vectors opened={opened} />
        <section class="stage" aria-label="Comparison">
          <Composer />
          {problem.value !== "" && <p class="problem" role="alert">{problem.value}</p>}
          {loading.value !== "" && <p class="loading" role="status">{loading.value}</p>}
          <Legend />
          <div class="columns">{setting.value.columns.map((_, index) => <Column key={index} index={index} />)}</div>
          <Charts />
        </section>
      </main>
      <p class="only-read" aria-live="polite">{announced.value}</p>
      <Inspector />
      {opened.value === "copy" && <CopyDialog close={close} />}
      {opened.value === "make" && server.value?.writable === true && <MakeDialog close={close} />}
      {keyWanted.value && <KeyDialog />}
    </>
  );
}
