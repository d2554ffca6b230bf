import type { Job, JobStatus } from '../api';

const marks: Record<JobStatus, string> = { waiting: '◌', queued: '…', preparing: '↻', running: '▶', retrying: '↻', paused: '‖', succeeded: '✓', failed: '✕', cancelled: '∅' };

export const isEnded = (status: JobStatus) => status === 'succeeded' || status === 'failed' || status === 'cancelled';

export function Status({ status }: { status: JobStatus }) {
  return (
    <span class={`status ${status}`}>
      <span aria-hidden="true">{marks[status]}</span> {status}
    </span>
  );
}

export function Progress({ job }: { job: Job }) {
  const { percent, step, total_steps } = job.progress;
  return (
    <span class="progress">
      <progress max={100} value={percent} aria-label={`${Math.floor(percent)} % done`} />
      <span class="number">{total_steps ? `${step} / ${total_steps}` : step ? step : ''}</span>
    </span>
  );
}
