import { useEffect, useRef } from "preact/hooks";
import UPlot from "uplot";

export type Colour = "accent" | "second" | "third" | "muted";
export interface Series {
  label: string;
  colour: Colour;
  dash?: number[];
}

/** A line chart that follows its data, its width and the theme. */
export function Plot({ height, label, xLabel, series, data, max }: {
  height: number; label: string; xLabel: string; series: readonly Series[]; data: ReadonlyArray<ReadonlyArray<number | null>>; max?: number;
}) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot | undefined>(undefined);
  const shape = JSON.stringify([series, max]);
  useEffect(() => {
    const element = box.current!;
    const make = (): void => {
      plot.current?.destroy();
      const width = Math.max(80, element.clientWidth);
      plot.current = new UPlot(options({ width, height, xLabel, series, ...(max !== undefined && { max }) }), data as UPlot.AlignedData, element);
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
  }, [shape, height]);
  useEffect(() => plot.current?.setData(data as UPlot.AlignedData), [data]);
  return <div class="plot" role="img" aria-label={label} ref={box} style={{ height: `${height}px` }} />;
}

function options({ width, height, xLabel, series, max }: {
  width: number; height: number; xLabel: string; series: readonly Series[]; max?: number;
}): UPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  const axis = { stroke: colour("muted"), font: "11px system-ui, sans-serif", ticks: { show: false } };
  return {
    width, height, legend: { show: false }, cursor: { show: false }, padding: [8, 8, 0, 0],
    scales: { x: { time: false }, y: { range: (_, least, most) => [Math.min(0, least ?? 0), Math.max(max ?? 0, (most ?? 0) * 1.05, 0.1)] } },
    axes: [
      { ...axis, size: 34, label: xLabel, labelSize: 14, labelFont: axis.font, labelGap: 0, gap: 2, grid: { show: false } },
      { ...axis, size: 34, gap: 4, space: 28, grid: { stroke: colour("line"), width: 1 } },
    ],
    series: [{}, ...series.map(({ label, colour: name, dash }) => (
      { label, stroke: colour(name), width: 1.75, points: { show: false }, ...(dash && { dash }) }
    ))],
  };
}
