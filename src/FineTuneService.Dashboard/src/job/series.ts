import type { JobEvent, Metric } from '../api';

/** One metric over the steps. */
export interface Series {
  steps: number[];
  values: (number | null)[];
}

export type Curves = Map<string, Series>;

export function add(curves: Curves, name: string, step: number, value: number | null) {
  const series = curves.get(name) ?? { steps: [], values: [] };
  curves.set(name, series);
  if (series.steps.at(-1) === step) series.values[series.values.length - 1] = value;
  else if ((series.steps.at(-1) ?? -1) < step) {
    series.steps.push(step);
    series.values.push(value);
  }
}

export function curvesOf(metrics: readonly Metric[]): Curves {
  const curves: Curves = new Map();
  for (const metric of metrics) add(curves, metric.name, metric.step, metric.value ?? null);
  return curves;
}

/** What a live event adds to the curves. */
export function addEvent(curves: Curves, happened: JobEvent) {
  const { step, metrics } = happened.data as { step: number; metrics?: Record<string, number> };
  for (const [name, value] of Object.entries(metrics ?? {})) add(curves, name, step, Number.isFinite(value) ? value : null);
}

/** Exponential moving average without the bias towards its first values, as TensorBoard draws it. */
export function smooth(values: readonly (number | null)[], weight: number): (number | null)[] {
  let [last, count] = [0, 0];
  return values.map(value => {
    if (value === null) return null;
    last = last * weight + (1 - weight) * value;
    count++;
    return last / (1 - weight ** count);
  });
}
