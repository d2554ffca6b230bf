import { get, type Metric, type Page } from '../api';
import { useLoad } from '../load';

/** The training loss at a glance. */
export function Sparkline({ job, live }: { job: string; live: boolean }) {
  const { value } = useLoad(signal => get<Page<Metric>>(`/jobs/${job}/metrics?names=loss&points=60`, signal), [job], live ? 5000 : 0);
  const points = (value?.data ?? []).filter(point => Number.isFinite(point.value));
  if (points.length < 2) return <span class="hint">–</span>;
  const values = points.map(point => point.value!);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const [first, last] = [points[0]!.step, points.at(-1)!.step];
  const path = points.map(point => `${((100 * (point.step - first)) / (last - first || 1)).toFixed(1)},${(22 - (20 * (point.value! - low)) / (high - low || 1)).toFixed(1)}`).join(' ');
  return (
    <svg class="sparkline" viewBox="0 0 100 24" preserveAspectRatio="none" role="img" aria-label={`loss from ${values[0]!.toPrecision(3)} to ${values.at(-1)!.toPrecision(3)}`}>
      <polyline points={path} />
    </svg>
  );
}
