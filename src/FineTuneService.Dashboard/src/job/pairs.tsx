import type { JobPair } from '../api';
import { number, percent, title } from '../format';

const verdicts: Record<string, (first: string, second: string) => string> = {
  second_is_better: (first, second) => `${second} is better than ${first}`,
  first_is_better: (first, second) => `${first} is better than ${second}`,
  not_distinguishable: (first, second) => `${first} and ${second} cannot be told apart`,
  not_comparable: (first, second) => `${first} and ${second} cannot be compared row by row`,
};

/** Each job against the first, on the same validation rows. */
export function Pairs({ pairs, names }: { pairs: readonly JobPair[]; names: ReadonlyMap<string, string> }) {
  return (
    <section aria-label="Better, or by chance?">
      <h2>Better, or by chance?</h2>
      {pairs.map(pair => {
        const [first, second] = [names.get(pair.first) ?? pair.first, names.get(pair.second) ?? pair.second];
        return (
          <article key={pair.second}>
            <h3>{verdicts[pair.verdict]?.(first, second) ?? pair.verdict}</h3>
            <p>{pair.explanation}</p>
            {pair.metrics && (
              <div class="scroll" tabIndex={0}>
                <table>
                  <thead><tr><th>Metric</th><th>{first}</th><th>{second}</th><th>Difference</th><th>95 % interval</th></tr></thead>
                  <tbody>
                    {pair.metrics.map(metric => (
                      <tr key={metric.name}>
                        <th scope="row">{title(metric.name)}</th><td class="number">{percent(metric.first)}</td><td class="number">{percent(metric.second)}</td>
                        <td class="number">{signed(metric.difference)}</td><td class="number">{signed(metric.low)} to {signed(metric.high)}</td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
            )}
            <Flips name={`Right in ${first}, wrong in ${second}`} count={pair.right_to_wrong} rows={pair.flips_to_wrong} />
            <Flips name={`Wrong in ${first}, right in ${second}`} count={pair.wrong_to_right} rows={pair.flips_to_right} />
          </article>
        );
      })}
    </section>
  );
}

function Flips({ name, count, rows }: { name: string; count: number | null | undefined; rows: JobPair['flips_to_right'] }) {
  if (!count || !rows) return null;
  return (
    <details>
      <summary>{name} ({number(count)})</summary>
      <div class="scroll" tabIndex={0}>
        <table class="rows">
          <thead><tr><th>Line</th><th>Text</th><th>Label</th><th>First</th><th>Second</th></tr></thead>
          <tbody>
            {rows.map(row => (
              <tr key={row.line}>
                <td class="number">{row.line}</td><td>{row.text ?? '–'}{row.text_pair && <> · {row.text_pair}</>}</td>
                <td>{row.labels.join(', ')}</td><td>{row.first.join(', ')}</td><td>{row.second.join(', ')}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

const signed = (points: number) => `${points > 0 ? '+' : points < 0 ? '−' : ''}${(100 * Math.abs(points)).toFixed(1)}`;
