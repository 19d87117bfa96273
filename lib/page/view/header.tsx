import type { Signal } from "@preact/signals";
import { downloadComparison, downloadPicture } from "../state/export.js";
import { latest, clear, turns } from "../state/run.js";
import { announced, chooseModel, fail, models, permalink, setting } from "../state/store.js";
import { Menu } from "./menu.js";

/** What lies over the page: a dialog, or on a phone the vectors. */
export type Opened = "" | "copy" | "make" | "vectors";

async function copyLink(): Promise<void> {
  await navigator.clipboard.writeText(permalink());
  announced.value = "Link copied.";
}

async function changeModel(id: string): Promise<void> {
  clear();
  await chooseModel(id).catch(fail);
}

export function Header({ opened }: { opened: Signal<Opened> }) {
  const nothing = turns.value.length === 0 || latest() === undefined;
  return (
    <header class="top">
      <h1><img src="./icon.svg" alt="" width="24" height="24" />llama-steer</h1>
      <label class="model">
        <span class="only-read">Model</span>
        <select value={setting.value.model} onChange={(event) => void changeModel(event.currentTarget.value)}>
          {models.value.map(({ id }) => <option key={id} value={id}>{id}</option>)}
        </select>
      </label>
      <span class="gap" />
      <button type="button" class="quiet narrow" aria-expanded={opened.value === "vectors"}
        onClick={() => { opened.value = opened.value === "vectors" ? "" : "vectors"; }}>Vectors</button>
      <button type="button" class="quiet" onClick={() => { opened.value = "copy"; }}>Copy as code</button>
      <Menu title="Share">
        <button type="button" onClick={() => void copyLink()}>Copy a link to this setting</button>
        <button type="button" disabled={nothing} onClick={downloadComparison}>Save the comparison as HTML</button>
        <button type="button" disabled={nothing} onClick={() => void downloadPicture()}>Save the comparison as PNG</button>
      </Menu>
    </header>
  );
}
