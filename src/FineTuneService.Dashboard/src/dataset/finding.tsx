import type { DataFinding, FlaggedRow } from '../api';
import { number, percent } from '../format';

const words = (code: string) => code.replaceAll('_', ' ');

/** One thing that is the matter, with rows that show it. @param wanted Whether its remedy is to be applied; undefined: it has none. */
export function Finding({ finding, wanted, want }: { finding: DataFinding; wanted: boolean | undefined; want: (wanted: boolean) => void }) {
  return (
    <li class={finding.severity}>
      <h3>
        {words(finding.code)} <span class="hint">{number(finding.count)}{finding.split && ` in ${finding.split}`}</span>
      </h3>
      <p>{finding.explanation}</p>
      <p>
        {wanted === undefined ? (
          finding.remedy
        ) : (
          <label><input type="checkbox" checked={wanted} onChange={event => want(event.currentTarget.checked)} /> {finding.remedy}</label>
        )}
      </p>
      {finding.rows.length > 0 && (
        <details>
          <summary>{finding.rows.length < finding.count ? `${finding.rows.length} of the rows` : 'The rows'}</summary>
          <div class="scroll" tabIndex={0} role="region" aria-label={`Rows: ${words(finding.code)}`}>
            <table class="rows">
              <thead><tr><th>Line</th><th>Text</th><th>Label</th><th>Why</th></tr></thead>
              <tbody>{finding.rows.map(row => <Row key={`${row.split}${row.line}`} row={row} />)}</tbody>
            </table>
          </div>
        </details>
      )}
    </li>
  );
}

function Row({ row }: { row: FlaggedRow }) {
  return (
    <tr>
      <td class="number">{row.split === 'train' ? '' : `${row.split} `}{row.line}</td>
      <td>{row.excerpt}</td>
      <td>{row.label}</td>
      <td>
        {row.detail}
        {row.suggested_label && <>rather <strong>{row.suggested_label}</strong>{row.confidence != null && ` (${percent(row.confidence)})`}</>}
        {row.other && (
          <>
            {row.similarity != null && row.similarity < 1 && `${percent(row.similarity)} like `}{row.other.split} {row.other.line}{row.other.label && row.other.label !== row.label && <> (<strong>{row.other.label}</strong>)</>}
            {row.other.excerpt && <div class="hint">{row.other.excerpt}</div>}
          </>
        )}
      </td>
    </tr>
  );
}
