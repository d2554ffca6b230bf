import { useState } from 'preact/hooks';
import { get, remove, type ColumnProfile, type Dataset } from '../api';
import { Report } from '../dataset/report';
import { ago, bytes, number, percent } from '../format';
import { useLoad } from '../load';
import { Trouble } from '../parts/trouble';
import { go } from '../router';

export function DatasetPage({ id }: { id: string }) {
  const { value: dataset, error } = useLoad(signal => get<Dataset>(`/datasets/${id}`, signal), [id]);
  const [refusal, setRefusal] = useState<Error>();
  if (!dataset) return <Trouble error={error} />;
  const erase = () => confirm(`Delete ${dataset.name}? This cannot be undone.`) && remove(`/datasets/${id}`).then(() => go('/datasets'), setRefusal);
  return (
    <>
      <div class="title">
        <h1>{dataset.name}</h1>
        <span class="actions">
          <a class="button" href={`/datasets/${id}/content`} download={dataset.file_name}>Download</a>
          <button class="danger" onClick={erase}>Delete</button>
          <a class="button primary" href={`#/new-job?dataset=${id}`}>Fine-tune on it</a>
        </span>
      </div>
      <Trouble error={refusal} />
      <p class="hint">
        {dataset.file_name} · {dataset.format} · {number(dataset.rows)} rows · {bytes(dataset.bytes)} · uploaded {ago(dataset.created_at)} · sha256 <code>{dataset.sha256.slice(0, 12)}</code>
      </p>
      {dataset.origin && (
        <p>
          Cleaned: the {dataset.origin.split} rows that were made of <a href={`#/datasets/${dataset.origin.dataset}`}>another dataset</a>. <a href={`/datasets/${dataset.id}/ledger`} download>What became of each row</a>
        </p>
      )}
      <section class="cards" aria-label="Columns">
        {dataset.profile.columns.map(column => <Column key={column.name} column={column} rows={dataset.rows} />)}
      </section>
      <h2>First rows</h2>
      <div class="scroll">
        <table class="rows">
          <thead><tr>{dataset.profile.columns.map(column => <th key={column.name}>{column.name}</th>)}</tr></thead>
          <tbody>
            {dataset.profile.first_rows.map((row, line) => (
              <tr key={line}>{dataset.profile.columns.map(column => <td key={column.name}>{row[column.name]}</td>)}</tr>
            ))}
          </tbody>
        </table>
      </div>
      <Report dataset={dataset} />
    </>
  );
}

function Column({ column, rows }: { column: ColumnProfile; rows: number }) {
  const counts = Object.entries(column.counts ?? {});
  const most = Math.max(...counts.map(([, count]) => count), 1);
  return (
    <article>
      <h3>{column.name}</h3>
      <p class="hint">
        {column.kind} · {column.distinct_is_more ? 'more than ' : ''}{number(column.distinct)} different{column.empty > 0 && ` · ${number(column.empty)} empty (${percent(column.empty / rows)})`}
        {column.mean_length != null && ` · ${column.min_length} to ${column.max_length} characters, ${Math.round(column.mean_length)} on average`}
      </p>
      {counts.length > 0 && counts.length <= 200 && (
        <ul class="bars">
          {counts.slice(0, 12).map(([value, count]) => (
            <li key={value}>
              <span>{value}</span>
              <span class="bar" style={{ width: `${(60 * count) / most}%` }} />
              <span class="number">{number(count)}</span>
            </li>
          ))}
          {counts.length > 12 && <li class="hint">and {counts.length - 12} more</li>}
        </ul>
      )}
    </article>
  );
}
