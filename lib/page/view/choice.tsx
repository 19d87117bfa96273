import type { Signal } from "@preact/signals";

/** One of a few options, as a row of radio buttons. */
export function Choice<Value extends string>({ legend, name, value, options }: {
  legend: string; name: string; value: Signal<Value>; options: ReadonlyArray<readonly [Value, string]>;
}) {
  return (
    <fieldset class="choice">
      <legend class="only-read">{legend}</legend>
      {options.map(([option, title]) => (
        <label key={option}>
          <input type="radio" name={name} checked={value.value === option} onChange={() => { value.value = option; }} /><span>{title}</span>
        </label>
      ))}
    </fieldset>
  );
}
