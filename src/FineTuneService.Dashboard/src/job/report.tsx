import { get, type Job, type Report } from '../api';
import { number, percent } from '../format';
import { useLoad } from '../load';
import { Plot } from '../parts/plot';

const shownClasses = 20;

/** How a classifier's best checkpoint does on the validation rows. @param saved Changes when another checkpoint is there. */
export function ReportOf({ job, saved }: { job: Job; saved: number }) {
  const { value } = useLoad(signal => get<{ step: number; report: Report }>(`/jobs/${job.id}/report`, signal), [job.id, saved]);
  if (!value) return null;
  const { report, step } = value;
  const { uncalibrated, calibrated, temperature } = report;
  return (
    <section aria-label="Errors and calibration">
      <h2>Errors and calibration <span class="hint">of {number(report.rows)} validation rows, at step {step}</span></h2>
      <div class="charts">
        <Plot
          title="Reliability"
          x="told probability" y="what is so"
          lines={[
            { name: 'as it is', points: uncalibrated.equal_width.map(bin => [bin.confidence, bin.accuracy]), colour: 2 },
            { name: `divided by ${number(temperature)}`, points: calibrated.equal_width.map(bin => [bin.confidence, bin.accuracy]), colour: 1 },
          ]}
          diagonal
          said={`Calibration error ${percent(uncalibrated.ece)}, with the temperature ${percent(calibrated.ece)}.`}
        />
        {report.abstain_curve.length > 1 && (
          <Plot
            title="Answering only where it is sure"
            x="share of the rows that is answered" y="accuracy"
            lines={[{ name: 'accuracy', points: report.abstain_curve.map(point => [point.coverage, point.accuracy]), colour: 1 }]}
            said={abstaining(report)}
          />
        )}
      </div>
      <p class="hint">
        {temperature === 1 ? 'No temperature makes its probabilities better.' : `Predictions divide the logits by ${number(temperature)}, fitted on these rows: the loss goes from ${number(uncalibrated.nll)} to ${number(calibrated.nll)}.`}
      </p>
      {report.confusion_matrix && <Matrix report={report} matrix={report.confusion_matrix} />}
      <Mistakes report={report} />
    </section>
  );
}

function abstaining({ abstain_curve: curve, accuracy }: Report): string {
  const half = curve.reduce((nearest, point) => (Math.abs(point.coverage - 0.5) < Math.abs(nearest.coverage - 0.5) ? point : nearest));
  return `${percent(accuracy)} of all rows are right; of the surest ${percent(half.coverage)} it is ${percent(half.accuracy)} (abstain_below ${number(half.abstain_below)}).`;
}

function Matrix({ report, matrix }: { report: Report; matrix: number[][] }) {
  const classes = report.classes.slice(0, shownClasses);
  return (
    <>
      <h3>Which class is taken for which</h3>
      {report.classes.length > shownClasses && <p class="hint">The first {shownClasses} of {report.classes.length} classes.</p>}
      <div class="scroll" tabIndex={0}>
        <table class="matrix">
          <thead><tr><th>true ↓ told →</th>{classes.map(({ label }) => <th key={label} scope="col">{label}</th>)}<th scope="col">precision</th><th scope="col">recall</th><th scope="col">F1</th></tr></thead>
          <tbody>
            {classes.map((quality, row) => (
              <tr key={quality.label}>
                <th scope="row">{quality.label}</th>
                {classes.map((_, column) => {
                  const share = quality.rows ? matrix[row]![column]! / quality.rows : 0;
                  return <td key={column} class="number" style={{ background: `color-mix(in srgb, var(${row === column ? '--line-3' : '--line-2'}) ${Math.round(45 * share)}%, transparent)` }}>{matrix[row]![column] || '·'}</td>;
                })}
                <td class="number">{percent(quality.precision)}</td><td class="number">{percent(quality.recall)}</td><td class="number">{percent(quality.f1)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function Mistakes({ report }: { report: Report }) {
  const { confident_mistakes: mistakes } = report;
  if (mistakes.length === 0) return <p>Every validation row is told as it is.</p>;
  return (
    <details>
      <summary>Its surest mistakes, where often the label is wrong ({mistakes.length})</summary>
      <div class="scroll" tabIndex={0}>
        <table class="rows">
          <thead><tr><th>Line</th><th>Text</th><th>Label</th><th>Told</th><th>Probability</th></tr></thead>
          <tbody>
            {mistakes.map((mistake, index) => (
              <tr key={index}>
                <td class="number">{mistake.line}</td><td>{mistake.text ?? '–'}{mistake.text_pair && <> · {mistake.text_pair}</>}</td>
                <td>{mistake.labels.join(', ') || 'none'}</td><td>{mistake.predicted.join(', ') || 'none'}</td><td class="number">{percent(mistake.probability)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}
