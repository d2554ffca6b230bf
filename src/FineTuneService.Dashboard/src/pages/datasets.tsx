import { useState } from 'preact/hooks';
import { get, upload, type Dataset, type Page } from '../api';
import { ago, bytes, number } from '../format';
import { useLoad } from '../load';
import { Pager } from '../parts/pager';
import { Trouble } from '../parts/trouble';
import { go } from '../router';

export function DatasetsPage() {
  const [after, setAfter] = useState('');
  const { value, error } = useLoad(signal => get<Page<Dataset>>(`/datasets?limit=25${after && `&after=${after}`}`, signal), [after]);
  return (
    <>
      <div class="title"><h1>Datasets</h1></div>
      <Upload />
      <Trouble error={error} />
      {value && value.data.length > 0 && (
        <div class="scroll">
          <table>
            <thead><tr><th>Name</th><th>Rows</th><th>Columns</th><th>Size</th><th>Uploaded</th></tr></thead>
            <tbody>
              {value.data.map(dataset => (
                <tr key={dataset.id}>
                  <td><a href={`#/datasets/${dataset.id}`}>{dataset.name}</a><div class="hint">{dataset.file_name}</div></td>
                  <td class="number">{number(dataset.rows)}</td>
                  <td>{dataset.profile?.columns.map(column => column.name).join(', ')}</td>
                  <td class="number">{bytes(dataset.bytes)}</td>
                  <td class="hint">{ago(dataset.created_at)}</td>
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

function Upload() {
  const [share, setShare] = useState<number>();
  const [error, setError] = useState<Error>();
  const [over, setOver] = useState(false);
  const send = (file: File | undefined) => {
    if (!file) return;
    const form = new FormData();
    form.append('name', file.name.replace(/\.[^.]*$/, ''));
    form.append('file', file);
    setError(undefined);
    setShare(0);
    upload('/datasets', form, setShare)
      .then(dataset => go(`/datasets/${dataset.id}`), setError)
      .finally(() => setShare(undefined));
  };
  return (
    <>
      <label
        class={`drop ${over ? 'over' : ''}`}
        onDragOver={event => (event.preventDefault(), setOver(true))}
        onDragLeave={() => setOver(false)}
        onDrop={event => (event.preventDefault(), setOver(false), send(event.dataTransfer?.files[0]))}
      >
        <input type="file" accept=".csv,.tsv,.jsonl,.parquet" disabled={share !== undefined} onChange={event => send(event.currentTarget.files?.[0])} />
        <span>Drop a file of examples here, or choose one: csv, tsv, jsonl or parquet</span>
        {share !== undefined && <progress max={1} value={share} aria-label="uploaded" />}
        {share === 1 && <span class="hint">Reading the rows…</span>}
      </label>
      <Trouble error={error} />
    </>
  );
}
