/** A number from `min` (default 0) to `max`; an empty box stands for undefined. Numbers outside go to the nearest one inside. */
export function NumberBox({ label, name, value, min = 0, max, step, placeholder, disabled, onChange }: {
  label: string; name?: string; value: number | undefined; min?: number; max: number; step: number; placeholder?: string;
  disabled?: boolean; onChange: (value: number | undefined) => void;
}) {
  return (
    <label class="number">
      <span>{label}</span>
      <input type="number" aria-label={name} value={value ?? ""} min={min} max={max} step={step} placeholder={placeholder}
        disabled={disabled}
        onChange={({ currentTarget }) => {
          const { valueAsNumber } = currentTarget;
          const inside = Math.min(max, Math.max(min, step === 1 ? Math.round(valueAsNumber) : valueAsNumber));
          const chosen = Number.isNaN(inside) ? undefined : inside;
          currentTarget.value = String(chosen ?? "");
          onChange(chosen);
        }} />
    </label>
  );
}
