import { get, type Checkpoint } from '../api';
import { ago, bytes, number, title } from '../format';
import { useLoad } from '../load';

/** @param saved Changes when another checkpoint is there. */
export function Checkpoints({ job, saved, adapter }: { job: string; saved: number; adapter: boolean }) {
  const { value } = useLoad(signal => get<{ data: Checkpoint[] }>(`/jobs/${job}/checkpoints`, signal), [job, saved]);
  const checkpoints = [...(value?.data ?? [])].reverse();
  return (
    <section aria-label="Checkpoints">
      <h2>Checkpoints</h2>
      {checkpoints.length === 0 ? <p class="empty">None yet.</p> : (
        <div class="scroll">
          <table>
            <thead><tr><th>Step</th><th>Validation</th><th>Size</th><th>Written</th><th>Download</th></tr></thead>
            <tbody>
              {checkpoints.map(checkpoint => (
                <tr key={checkpoint.step}>
                  <td class="number">{checkpoint.step} {checkpoint.best && <span class="tag">best</span>} {checkpoint.final && <span class="tag">final</span>}</td>
                  <td>{Object.entries(checkpoint.metrics).filter(([name]) => !/runtime|per_second/.test(name)).map(([name, value]) => `${title(name)} ${number(value)}`).join(' · ')}</td>
                  <td class="number">{bytes(checkpoint.bytes)}</td>
                  <td class="hint">{ago(checkpoint.created_at)}</td>
                  <td>
                    <a href={`/jobs/${job}/checkpoints/${checkpoint.step}/archive`} download>tar</a>
                    {adapter && <> · <a href={`/jobs/${job}/checkpoints/${checkpoint.step}/archive?merged=true`} download>merged</a></>}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
