/** The numbers of the plot, apart from how they are drawn: panels, series, scales. */
import { BASELINE, type BenchResults } from './sample.ts';
import { cellsOf, summarise, type Spread } from './summary.ts';

export interface PlotSeries {
  readonly target: string;
  readonly label: string;
  /** One per client count of the panel; null where nothing was measured. */
  readonly throughput: readonly (Spread | null)[];
  /** CPU seconds per million requests. */
  readonly cpu: readonly ({ readonly proxy: number; readonly node: number } | null)[];
}

/** One column of the plot: a pipeline depth, plain or TLS. */
export interface PlotPanel {
  readonly title: string;
  readonly tls: boolean;
  readonly clients: readonly number[];
  readonly series: readonly PlotSeries[];
  readonly throughputAxis: Axis;
  readonly cpuAxis: Axis;
}

export interface Axis {
  readonly maximum: number;
  readonly ticks: readonly number[];
}

export function plotPanels(results: BenchResults): PlotPanel[] {
  const summaries = summarise(
    results.samples,
    results.targets.map((target) => target.name),
  );
  const cells = cellsOf(results.samples);
  const kinds = new Map(cells.map((cell) => [`${cell.pipeline}/${cell.tls}`, cell]));
  return [...kinds.values()].map(({ pipeline, tls }) => {
    const own = summaries.filter((summary) => summary.pipeline === pipeline && summary.tls === tls);
    const clients = [...new Set(own.map((summary) => summary.clients))].sort((a, b) => a - b);
    const series = results.targets
      .filter((target) => own.some((summary) => summary.target === target.name))
      .map(({ name, label }): PlotSeries => {
        const at = (count: number) =>
          own.find((summary) => summary.target === name && summary.clients === count) ?? null;
        return {
          target: name,
          label,
          // The baseline is the line at 1; drawing it again would only hide what is close to it.
          throughput: clients.map((count) =>
            name === BASELINE ? null : (at(count)?.throughputRatio ?? null),
          ),
          cpu: clients.map((count) => {
            const summary = at(count);
            return summary === null
              ? null
              : { proxy: summary.proxyCpuPerMillion, node: summary.nodeCpuPerMillion };
          }),
        };
      });
    return {
      title: `Pipeline ${pipeline}${tls ? ', TLS' : ''}`,
      tls,
      clients,
      series,
      throughputAxis: axisUpTo(
        Math.max(
          1.2,
          ...series.flatMap((one) => one.throughput.map((spread) => spread?.high ?? 0)),
        ),
      ),
      cpuAxis: axisUpTo(
        Math.max(
          ...series.flatMap((one) =>
            one.cpu.map((cpu) => (cpu === null ? 0 : cpu.proxy + cpu.node)),
          ),
        ),
      ),
    };
  });
}

/** From 0 to the first round number at or above `value`, with four to eight round ticks. */
export function axisUpTo(value: number): Axis {
  if (!(value > 0)) return { maximum: 1, ticks: [0, 1] };
  const magnitude = 10 ** Math.floor(Math.log10(value / 5));
  const step = [1, 2, 2.5, 5, 10]
    .map((factor) => factor * magnitude)
    .find((size) => value / size <= 6)!;
  const count = Math.ceil(value / step - 1e-9);
  const ticks = Array.from({ length: count + 1 }, (_, index) =>
    Number((index * step).toPrecision(12)),
  );
  return { maximum: ticks.at(-1)!, ticks };
}
