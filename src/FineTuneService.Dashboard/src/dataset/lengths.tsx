import type { LengthReport } from '../api';
import { number, percent } from '../format';

/** How long the rows are, and what a limit would cost. */
export function Lengths({ lengths }: { lengths: LengthReport }) {
  const most = Math.max(...lengths.histogram.map(bin => bin.rows), 1);
  return (
    <div class="split">
      <figure class="answer" aria-label={`Lengths in ${lengths.unit}`}>
        <figcaption class="hint">
          Rows by length in {lengths.unit}: {number(lengths.mean)} on average, half at most {lengths.median}, 95 % at most {lengths.p95}, the longest {number(lengths.max)}
          {lengths.is_sample && ` (of ${number(lengths.rows)} rows, drawn at random)`}
        </figcaption>
        <ul class="bars">
          {lengths.histogram.map(bin => (
            <li key={bin.from}>
              <span>{bin.from === bin.to ? bin.from : `${bin.from} to ${bin.to}`}</span>
              <span class="bar" style={{ width: `${(100 * bin.rows) / most}%` }} />
              <span class="number">{number(bin.rows)}</span>
            </li>
          ))}
        </ul>
      </figure>
      <table>
        <caption class="hint">What a longest length would cut off</caption>
        <thead><tr><th>Longest, in {lengths.unit}</th><th>Rows cut</th><th>Of all {lengths.unit}</th></tr></thead>
        <tbody>
          {lengths.truncation.map(cut => (
            <tr key={cut.max_length}><td class="number">{cut.max_length}</td><td class="number">{percent(cut.rows)}</td><td class="number">{percent(cut.units)}</td></tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
