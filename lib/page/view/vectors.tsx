import { useSignal, type Signal } from "@preact/signals";
import type { VectorEntry } from "../../server/schemas/index.js";
import { remove, upload } from "../api.js";
import { titleOf } from "../logic/steering.js";
import { isMaking, job } from "../state/making.js";
import {
  announced, fail, loading, loadVectors, ofModel, probesOfModel, server, setting, useProbe, useVector,
} from "../state/store.js";
import type { Opened } from "./header.js";
import { HowAndWhen } from "./how.js";
import { Verdict } from "./verdict.js";

/** The vectors that fit the model, as cards. */
export function Vectors({ opened }: { opened: Signal<Opened> }) {
  const { length } = ofModel.value;
  const writable = server.value?.writable === true;
  return (
    <aside class={`vectors ${opened.value === "vectors" ? "open" : ""}`} aria-label="Vectors">
      <div class="head">
        <h2>Vectors</h2>
        {writable && <UploadButton />}
      </div>
      {ofModel.value.map((entry) => <Card key={entry.id} entry={entry} />)}
      {length === 0 && loading.value === "" && (
        <p class="empty">There is no vector for this model yet. {writable ? "Make one: two descriptions are enough." : ""}</p>
      )}
      {probesOfModel.value.length > 0 && <h2>Probes</h2>}
      {probesOfModel.value.map((entry) => <ProbeCard key={entry.id} entry={entry} />)}
      {writable && (
        <button type="button" class={length === 0 ? "primary" : "outline"} disabled={loading.value !== ""}
          onClick={() => { opened.value = "make"; }}>{isMaking() ? `Making a vector: ${share()}` : "Make a vector"}</button>
      )}
    </aside>
  );
}

function share(): string {
  const { done = 0, total = 0 } = job.value?.progress ?? {};
  return total > 0 ? `${Math.round((done / total) * 100)} %` : "…";
}

function UploadButton() {
  return (
    <label class="upload quiet">Upload
      <input type="file" accept=".safetensors" class="only-read" onChange={(event) => {
        const file = event.currentTarget.files?.[0];
        event.currentTarget.value = "";
        if (file === undefined) return;
        void upload(file).then(async ({ id }) => {
          await loadVectors();
          const isUsable = (all: readonly VectorEntry[]): boolean => all.some((entry) => entry.id === id);
          announced.value = `${id} uploaded.`;
          if (isUsable(ofModel.value)) return useVector(id, true);
          if (isUsable(probesOfModel.value)) return useProbe(id, true);
          announced.value = `${id} uploaded, but it was made for another model.`;
          fail(new Error(announced.value));
        }).catch(fail);
      }} />
    </label>
  );
}

function Card({ entry }: { entry: VectorEntry }) {
  const { id, description, property, health, sample } = entry;
  const use = setting.value.uses.find((each) => each.id === id);
  const title = titleOf(entry, id);
  const [, away] = property.split(" vs ");
  return (
    <article class={`card ${use ? "on" : ""}`}>
      <label class="switch">
        <input type="checkbox" role="switch" checked={use !== undefined} onChange={(event) => useVector(id, event.currentTarget.checked)} />
        <span class="title">{title}</span>
      </label>
      {health && <Verdict verdict={health.verdict} />}
      <p class="about">{description ?? (away === undefined ? property : `not: ${away}`)}</p>
      {use && <HowAndWhen entry={entry} use={use} title={title} />}
      <details>
        <summary>Details<span class="only-read"> of {title}</span></summary>
        {health && <p>{sentence(health.reason)}</p>}
        {sample && <p class="sample"><b>{sample.question}</b> {sample.steered}</p>}
        <Facts entry={entry} />
        {entry.source === "folder" && server.value?.writable === true && <DeleteButton id={id} title={title} />}
      </details>
    </article>
  );
}

/** A probe: it steers nothing, but reads every token. */
function ProbeCard({ entry }: { entry: VectorEntry }) {
  const { id, property, layers, site } = entry;
  const isOn = setting.value.probes.includes(id);
  return (
    <article class={`card ${isOn ? "on" : ""}`}>
      <label class="switch">
        <input type="checkbox" role="switch" checked={isOn} onChange={(event) => useProbe(id, event.currentTarget.checked)} />
        <span class="title">{titleOf(entry, id)}</span>
      </label>
      <p class="about">{property}; reads layer {layers.join(", ")} ({site})</p>
      {entry.source === "folder" && server.value?.writable === true && <DeleteButton id={id} title={titleOf(entry, id)} />}
    </article>
  );
}

const ORIGINS: Readonly<Record<string, string>> = {
  words: "two descriptions", pairs: "pairs of texts", icl: "examples in the prompt", derived: "other vectors", imported: "another program",
};

function Facts({ entry: { property, origin, site, n_steps: nSteps, steering } }: { entry: VectorEntry }) {
  return (
    <dl class="facts">
      <div><dt>Property</dt><dd>{property}</dd></div>
      <div><dt>Made from</dt><dd>{ORIGINS[origin] ?? origin}</dd></div>
      <div><dt>Site</dt><dd>{site}, {nSteps} {nSteps === 1 ? "step" : "steps"}</dd></div>
      <div><dt>Measured strength</dt><dd>{steering && "alpha" in steering.schedule ? `alpha ${steering.schedule.alpha}` : "none"}</dd></div>
    </dl>
  );
}

function DeleteButton({ id, title }: { id: string; title: string }) {
  const asked = useSignal(false);
  if (!asked.value) return <button type="button" class="quiet" onClick={() => { asked.value = true; }}>Delete …</button>;
  return (
    <button type="button" class="danger" onBlur={() => { asked.value = false; }} onClick={() => {
      useVector(id, false);
      useProbe(id, false);
      void remove(`v1/vectors/${encodeURIComponent(id)}`).then(loadVectors).catch(fail);
    }}>Delete the file of {title}</button>
  );
}

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
