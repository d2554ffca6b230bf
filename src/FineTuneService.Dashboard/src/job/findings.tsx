import { useState } from 'preact/hooks';
import { get, post, type Finding, type Job } from '../api';
import { useLoad } from '../load';
import { Trouble } from '../parts/trouble';
import { go } from '../router';

/** What the numbers show, and the way to do better. @param told Changes when there is another. */
export function Findings({ job, told }: { job: Job; told: number }) {
  const { value } = useLoad(signal => get<{ data: Finding[] }>(`/jobs/${job.id}/findings`, signal), [job.id, told]);
  const [error, setError] = useState<Error>();
  if (!value || value.data.length === 0) return null;
  const fix = (code: string) => () => void post<Job>(`/jobs/${job.id}/retry-with-fix`, { codes: [code] }).then(next => go(`/jobs/${next.id}`), setError);
  return (
    <section aria-label="Findings">
      <h2>What the numbers show</h2>
      <Trouble error={error} />
      <ul class="findings">
        {value.data.map(finding => (
          <li key={finding.code} class={finding.severity}>
            <h3>
              {finding.code.replaceAll('_', ' ')} <span class="hint">{finding.from_step === finding.to_step ? `at step ${finding.to_step}` : `steps ${finding.from_step} to ${finding.to_step}`}</span>
            </h3>
            <p>{finding.explanation}</p>
            <p>{finding.remedy}</p>
            {finding.patch && (
              <p class="actions">
                <button onClick={fix(finding.code)}>Train again with this remedy</button> <code>{JSON.stringify(finding.patch)}</code>
              </p>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
