import { useState } from 'preact/hooks';
import { post, remove, type Job } from '../api';
import { ago, bytes, duration, number, title } from '../format';
import { Charts } from '../job/charts';
import { Checkpoints } from '../job/checkpoints';
import { Findings } from '../job/findings';
import { Events } from '../job/events';
import { ReportOf } from '../job/report';
import { useRun } from '../job/run';
import { TryIt } from '../job/try-it';
import { isEnded, Progress, Status } from '../parts/status';
import { Faults, Trouble } from '../parts/trouble';
import { go } from '../router';

export function JobPage({ id }: { id: string }) {
  const { job, error, curves, version, events, reload } = useRun(id);
  if (!job) return <Trouble error={error} />;
  const saved = events.filter(happened => happened.type === 'save' || happened.type === 'delete').length;
  return (
    <>
      <div class="title">
        <h1>{job.name ?? job.id} <Status status={job.status} /></h1>
        <Actions job={job} done={reload} />
      </div>
      <p class="hint">
        <code>{job.id}</code> · {job.spec.base_model} · {job.spec.task?.type} · {job.spec.method?.type ?? 'full'} · posted {ago(job.created_at)}
        {job.sweep && ` · of ${job.sweep}`}
      </p>
      {(job.reason || job.faults) && (
        <div class={job.status === 'failed' ? 'error' : 'note'}>
          {job.reason}
          <Faults faults={(job.faults ?? []) as Parameters<typeof Faults>[0]['faults']} />
        </div>
      )}
      <Figures job={job} />
      <Findings job={job} told={events.filter(happened => happened.type === 'diagnosis').length} />
      <Charts curves={curves} version={version} />
      {saved > 0 && job.spec.task?.type === 'text-classification' && <ReportOf job={job} saved={saved} />}
      {saved > 0 && <TryIt job={job} />}
      <Checkpoints job={id} saved={saved} adapter={job.spec.method?.type !== 'full' && job.spec.method != null} />
      <Exports id={id} />
      <Events events={events} />
      <Spec job={job} />
    </>
  );
}

function Figures({ job }: { job: Job }) {
  const { progress, memory, best, queue } = job;
  const figures: [string, unknown][] = [
    ['Progress', <Progress job={job} />],
    ['Epoch', number(Math.round(progress.epoch * 100) / 100)],
    ['Time left', isEnded(job.status) ? undefined : progress.eta_seconds != null && duration(progress.eta_seconds)],
    ['In the queue', queue && `${queue.position} before it`],
    ['Ran for', job.run_seconds > 0 && duration(job.run_seconds)],
    ['Rows per second', progress.samples_per_second != null && number(progress.samples_per_second)],
    ['Memory', memory && <>{bytes(memory.peak_bytes)} <span class="hint">of {bytes(memory.forecast_bytes)} expected</span></>],
    ['Best', best && <>{number(best.value)} <span class="hint">{title(best.name ?? '')}, step {best.step}</span></>],
  ];
  return (
    <dl class="figures">
      {figures.filter(([, value]) => value).map(([name, value]) => (
        <div key={name}><dt>{name}</dt><dd>{value as never}</dd></div>
      ))}
    </dl>
  );
}

function Actions({ job, done }: { job: Job; done: () => void }) {
  const [error, setError] = useState<Error>();
  const ask = (verb: string) => () => void post(`/jobs/${job.id}/${verb}`).then(done, setError);
  const erase = () => confirm('Delete this job with its checkpoints? This cannot be undone.') && remove(`/jobs/${job.id}`).then(() => go('/jobs'), setError);
  const { status } = job;
  return (
    <span class="actions">
      {status === 'waiting' && <button onClick={ask('start')}>Start</button>}
      {(status === 'running' || status === 'queued' || status === 'preparing') && <button disabled={!!job.pause_requested_at} onClick={ask('pause')}>Pause</button>}
      {status === 'paused' && <button class="primary" onClick={ask('resume')}>Resume</button>}
      {!isEnded(status) && <button disabled={!!job.cancel_requested_at} onClick={ask('cancel')}>Cancel</button>}
      {(status === 'failed' || status === 'cancelled') && <button class="primary" onClick={ask('retry')}>Retry</button>}
      <a class="button" href={`#/new-job?from=${job.id}`}>Clone</a>
      {isEnded(status) && <button class="danger" onClick={erase}>Delete</button>}
      <Trouble error={error} />
    </span>
  );
}

function Exports({ id }: { id: string }) {
  return (
    <p>
      Take it elsewhere: <a href={`/jobs/${id}/report.html`} target="_blank" rel="noopener">report to print</a> ·{' '}
      <a href={`/jobs/${id}/metrics.csv`} download>numbers as CSV</a> or{' '}
      <a href={`/jobs/${id}/metrics.parquet`} download>Parquet</a> · <a href={`/jobs/${id}/tensorboard`} download>TensorBoard</a> ·{' '}
      <a href={`/jobs/${id}/wandb`} download>Weights &amp; Biases</a>
    </p>
  );
}

function Spec({ job }: { job: Job }) {
  return (
    <section aria-label="Specification">
      <h2>Specification</h2>
      {job.resolutions.length > 0 && (
        <details>
          <summary>What the service chose, and why</summary>
          <ul class="faults">
            {job.resolutions.map(({ pointer, value, reason }) => <li key={pointer}><code>{pointer}</code> = <code>{JSON.stringify(value)}</code>: {reason}</li>)}
          </ul>
        </details>
      )}
      <details>
        <summary>With every default</summary>
        <pre tabIndex={0}>{JSON.stringify(job.spec, null, 2)}</pre>
      </details>
    </section>
  );
}
