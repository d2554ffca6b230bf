import { get, type Comparison, type Job, type Metric, type Page } from '../api';
import { number, title } from '../format';
import { Chart } from '../job/chart';
import { points } from '../job/run';
import { curvesOf, type Curves } from '../job/series';
import { useLoad } from '../load';
import { Pairs } from '../job/pairs';
import { isEnded, Status } from '../parts/status';
import { Trouble } from '../parts/trouble';

interface Ran {
  job: Job;
  curves: Curves;
}

/** Jobs over each other: their curves, and where their specifications differ. */
export function ComparePage({ ids }: { ids: readonly string[] }) {
  const { value: runs, error } = useLoad(signal => Promise.all(ids.map(id => run(id, signal))), [ids.join()], 10_000);
  const ended = runs?.filter(({ job }) => isEnded(job.status)).length;
  const { value: comparison, error: refused } = useLoad(async signal => (new Set(ids).size > 1 ? get<Comparison>(`/jobs/compare?ids=${ids.join()}`, signal) : null), [ids.join(), ended]);
  if (!runs) return <Trouble error={error} />;
  const metrics = [...new Set(runs.flatMap(({ curves }) => [...curves.keys()]))].filter(metric => metric === 'loss' || (metric.startsWith('eval_') && !/runtime|per_second/.test(metric)));
  const names = runs.map(({ job }, index) => (runs.some((other, at) => at !== index && nameOf(other.job) === nameOf(job)) ? `${nameOf(job)} (${job.id.slice(-6)})` : nameOf(job)));
  const version = runs.reduce((sum, { job }) => sum + job.progress.step, 0);
  return (
    <>
      <div class="title"><h1>Compare {runs.length} jobs</h1></div>
      <div class="scroll">
        <table>
          <thead><tr><th />{runs.map(({ job }, index) => <th key={job.id}><a href={`#/jobs/${job.id}`}>{names[index]}</a></th>)}</tr></thead>
          <tbody>
            <tr><th>state</th>{runs.map(({ job }) => <td key={job.id}><Status status={job.status} /></td>)}</tr>
            <tr><th>best</th>{runs.map(({ job }) => <td key={job.id} class="number">{job.best ? `${number(job.best.value)} ${title(job.best.name ?? '')}` : '–'}</td>)}</tr>
            {comparison?.differences.map(({ pointer, values }) => (
              <tr key={pointer}><th><code>{pointer}</code></th>{values.map((value, index) => <td key={index}>{shown(value)}</td>)}</tr>
            ))}
          </tbody>
        </table>
      </div>
      <Trouble error={refused} />
      {comparison && <Pairs pairs={comparison.pairs} names={new Map(runs.map(({ job }, index) => [job.id, names[index]!]))} />}
      <h2>Curves</h2>
      <div class="charts">
        {metrics.map(metric => (
          <Chart
            key={metric}
            title={metric === 'loss' ? 'Training loss' : `Validation: ${title(metric)}`}
            version={version}
            smoothing={metric === 'loss' ? 0.6 : 0}
            lines={runs.flatMap(({ curves }, index) => (curves.has(metric) ? [{ name: names[index]!, series: curves.get(metric)!, points: metric !== 'loss', colour: index }] : []))}
          />
        ))}
      </div>
    </>
  );
}

const nameOf = (job: Job) => job.name ?? job.id;
const shown = (value: unknown) => (value === null || value === undefined ? '–' : typeof value === 'string' ? value : JSON.stringify(value));

async function run(id: string, signal: AbortSignal): Promise<Ran> {
  const [job, metrics] = await Promise.all([get<Job>(`/jobs/${id}`, signal), get<Page<Metric>>(`/jobs/${id}/metrics?points=${points}`, signal)]);
  return { job, curves: curvesOf(metrics.data) };
}
