import { useEffect, useRef } from "preact/hooks";
import UPlot from "uplot";

export type Colour = "accent" | "second" | "third" | "muted";
export interface Series {
  label: string;
  colour: Colour;
  dash?: number[];
}

/** A line chart that follows its data, its width and the theme. */
export function Plot({ height, label, isWhole = false, series, data, max }: {
  height: number; label: string; series: readonly Series[]; data: ReadonlyArray<ReadonlyArray<number | null>>;
  /** Whether x counts something. */
  isWhole?: boolean;
  /** What the y axis shows at least. */
  max?: number;
}) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot | undefined>(undefined);
  const latest = useRef(data);
  latest.current = data;
  const kind = JSON.stringify([series, max]);
  useEffect(() => {
    const element = box.current!;
    const make = (): void => {
      plot.current?.destroy();
      const width = Math.max(80, element.clientWidth);
      const shape = options({ width, height, isWhole, series, ...(max !== undefined && { max }) });
      plot.current = new UPlot(shape, latest.current as UPlot.AlignedData, element);
    };
    make();
    const sizes = new ResizeObserver(() => plot.current!.setSize({ width: Math.max(80, element.clientWidth), height }));
    sizes.observe(element);
    const dark = window.matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", make);
    return () => {
      dark.removeEventListener("change", make);
      sizes.disconnect();
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, [kind, height]);
  useEffect(() => plot.current?.setData(data as UPlot.AlignedData), [data]);
  return <div class="plot" role="img" aria-label={label} ref={box} style={{ height: `${height}px` }} />;
}

const WHOLE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

function options({ width, height, isWhole, series, max }: {
  width: number; height: number; isWhole: boolean; series: readonly Series[]; max?: number;
}): UPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  const axis = { stroke: colour("muted"), font: "11px system-ui, sans-serif", ticks: { show: false } };
  const range: UPlot.Range.Function = (_, least, most) => [Math.min(0, least ?? 0), Math.max(max ?? 0, (most ?? 0) * 1.05, 0.1)];
  return {
    width, height, legend: { show: false }, cursor: { show: false }, padding: [8, 8, 0, 0],
    scales: { x: { time: false }, y: { range } },
    axes: [
      { ...axis, size: 22, gap: 3, grid: { show: false }, ...(isWhole && { incrs: WHOLE }) },
      { ...axis, size: 34, gap: 4, space: 28, grid: { stroke: colour("line"), width: 1 } },
    ],
    series: [{}, ...series.map(({ label, colour: name, dash }) => (
      { label, stroke: colour(name), width: 1.75, points: { show: false }, ...(dash && { dash }) }
    ))],
  };
}
