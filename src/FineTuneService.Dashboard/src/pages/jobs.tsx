import { useState } from 'preact/hooks';
import { get, type Job, type JobStatus, type Page } from '../api';
import { ago, duration, number, title } from '../format';
import { useLoad } from '../load';
import { Pager } from '../parts/pager';
import { Sparkline } from '../parts/sparkline';
import { isEnded, Progress, Status } from '../parts/status';
import { Trouble } from '../parts/trouble';
import { go } from '../router';

const filters: (JobStatus | '')[] = ['', 'running', 'queued', 'succeeded', 'failed', 'paused', 'cancelled'];

export function JobsPage() {
  const [status, setStatus] = useState<JobStatus | ''>('');
  const [after, setAfter] = useState('');
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const { value, error } = useLoad(signal => get<Page<Job>>(`/jobs?limit=25${status && `&status=${status}`}${after && `&after=${after}`}`, signal), [status, after], 3000);
  const choose = (id: string, on: boolean) => setChosen(before => new Set(on ? [...before, id] : [...before].filter(other => other !== id)));
  return (
    <>
      <div class="title">
        <h1>Jobs</h1>
        <span class="actions">
          <button disabled={chosen.size < 2} onClick={() => go(`/compare?jobs=${[...chosen].join(',')}`)}>
            Compare {chosen.size > 1 ? chosen.size : ''}
          </button>
          <a class="button primary" href="#/new-job">New job</a>
        </span>
      </div>
      <div class="filters" role="group" aria-label="State">
        {filters.map(one => (
          <button key={one} aria-pressed={status === one} onClick={() => (setStatus(one), setAfter(''))}>
            {one || 'all'}
          </button>
        ))}
      </div>
      <Trouble error={error} />
      {value && value.data.length === 0 && (
        <p class="empty">
          Nothing here yet. <a href="#/datasets">Upload a dataset</a>, then <a href="#/new-job">start a job</a>.
        </p>
      )}
      {value && value.data.length > 0 && (
        <div class="scroll">
          <table>
            <thead>
              <tr>
                <th><span class="unseen">Compare</span></th>
                <th>Job</th>
                <th>State</th>
                <th>Progress</th>
                <th>Loss</th>
                <th>Best</th>
                <th>Started</th>
              </tr>
            </thead>
            <tbody>
              {value.data.map(job => (
                <tr key={job.id}>
                  <td><input type="checkbox" aria-label={`compare ${job.name ?? job.id}`} checked={chosen.has(job.id)} onChange={event => choose(job.id, event.currentTarget.checked)} /></td>
                  <td>
                    <a href={`#/jobs/${job.id}`}>{job.name ?? job.id}</a>
                    <div class="hint">{job.spec.base_model} · {job.spec.task?.type}</div>
                  </td>
                  <td><Status status={job.status} /></td>
                  <td>
                    <Progress job={job} />
                    {job.progress.eta_seconds != null && !isEnded(job.status) && <div class="hint">{duration(job.progress.eta_seconds)} left</div>}
                  </td>
                  <td><Sparkline job={job.id} live={!isEnded(job.status)} /></td>
                  <td class="number">{job.best ? <>{number(job.best.value)} <span class="hint">{title(job.best.name ?? '')}</span></> : '–'}</td>
                  <td class="hint">{ago(job.started_at ?? job.created_at)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <Pager page={value} after={after} go={setAfter} />
    </>
  );
}
