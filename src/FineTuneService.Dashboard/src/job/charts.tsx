import { useState } from 'preact/hooks';
import { title } from '../format';
import { Chart, type Line } from './chart';
import type { Curves } from './series';

/** Which metrics share a chart, the training's first; what no chart names has one of its own. */
const groups: [name: string, holds: (metric: string) => boolean][] = [
  ['Loss', metric => metric === 'loss' || metric === 'eval_loss'],
  ['Validation', metric => /^eval_(accuracy|f1|f1_macro|mean_token_accuracy|pearson|spearman)$/.test(metric)],
  ['Validation, in detail', metric => /^eval_(f1_|precision|recall|matthews|auc|roc)/.test(metric) && metric !== 'eval_f1_macro'],
  ['General text (forgetting)', metric => metric === 'probe_loss'],
  ['Learning rate', metric => metric === 'learning_rate'],
  ['Gradient norm', metric => metric === 'grad_norm'],
  ['Throughput', metric => metric === 'samples_per_second'],
  ['Tokens per second', metric => metric === 'tokens_per_second'],
  ['Memory (GiB)', metric => metric === 'peak_memory_bytes' || metric === 'resident_bytes'],
];

const names: Record<string, string> = { loss: 'training', eval_loss: 'validation', peak_memory_bytes: 'peak', resident_bytes: 'process now', samples_per_second: 'rows per second' };

/** Told elsewhere, or of no use as a curve. */
const unseen = /^(test_|probe_|epoch$)|runtime|_per_second$|num_input_tokens_seen/;

export function Charts({ curves, version }: { curves: Curves; version: number }) {
  const [smoothing, setSmoothing] = useState(0.6);
  const [log, setLog] = useState(false);
  const named = groups.map(([name, holds]) => [name, [...curves.keys()].filter(holds).sort((a, b) => Number(a.startsWith('eval_')) - Number(b.startsWith('eval_')))] as const).filter(([, metrics]) => metrics.length > 0);
  const rest = [...curves.keys()].filter(metric => !unseen.test(metric) && !named.some(([, metrics]) => metrics.includes(metric)));
  const charts = [...named, ...rest.map(metric => [(metric.startsWith('eval_') ? 'Validation: ' : 'Training: ') + title(metric), [metric]] as const)];
  if (charts.length === 0) return <p class="empty">The first step has not been logged yet.</p>;
  return (
    <section aria-label="Curves">
      <div class="filters">
        <label>
          Smoothing <input type="range" min={0} max={0.99} step={0.01} value={smoothing} onInput={event => setSmoothing(event.currentTarget.valueAsNumber)} /> <span class="number">{smoothing.toFixed(2)}</span>
        </label>
        <label>
          <input type="checkbox" checked={log} onChange={event => setLog(event.currentTarget.checked)} /> Logarithmic
        </label>
        <span class="hint">Drag to zoom, double-click to see all.</span>
      </div>
      <div class="charts">
        {charts.map(([name, metrics]) => (
          <Chart key={name} title={name} lines={metrics.map(metric => line(metric, curves))} version={version} log={log} smoothing={/^(Loss|Gradient|Throughput|Tokens|Training)/.test(name) ? smoothing : 0} />
        ))}
      </div>
    </section>
  );
}

function line(metric: string, curves: Curves): Line {
  const series = curves.get(metric)!;
  const gibibytes = metric.endsWith('_bytes') ? { steps: series.steps, values: series.values.map(value => value && value / 2 ** 30) } : series;
  return { name: names[metric] ?? title(metric), series: gibibytes, points: /^(eval|probe)_/.test(metric) };
}
