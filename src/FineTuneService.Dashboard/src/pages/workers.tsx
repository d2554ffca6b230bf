import { get, type Workers } from '../api';
import { ago, duration } from '../format';
import { useLoad } from '../load';
import { Trouble } from '../parts/trouble';

export function WorkersPage() {
  const { value, error } = useLoad(signal => get<Workers>('/workers', signal), [], 3000);
  return (
    <>
      <div class="title"><h1>Workers</h1></div>
      <Trouble error={error} />
      {value && (
        <>
          <div class="scroll">
            <table>
              <thead><tr><th>Machine</th><th>State</th><th>Slots</th><th>Your jobs</th><th>Can</th><th>Heartbeat</th></tr></thead>
              <tbody>
                {value.workers.map(worker => (
                  <tr key={worker.id}>
                    <td>{worker.machine}<div class="hint">{worker.version}</div></td>
                    <td>{worker.state}</td>
                    <td class="number">{worker.busy} of {worker.slots} busy</td>
                    <td>{worker.jobs.map(job => <div key={job}><a href={`#/jobs/${job}`}>{job}</a></div>)}</td>
                    <td>{worker.capabilities.join(', ') || 'any job'}</td>
                    <td class="hint">{ago(worker.heartbeat_at)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
          {value.workers.length === 0 && <p class="empty">No worker has ever told of itself. Start one: jobs wait until then.</p>}
          <h2>Queues</h2>
          <ul>
            {value.queues.map(queue => (
              <li key={queue.capability ?? ''}>
                {queue.capability ?? 'any worker'}: {queue.waiting} waiting{queue.waiting > 0 && `, the oldest for ${duration(queue.oldest_seconds)}`}
              </li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}
