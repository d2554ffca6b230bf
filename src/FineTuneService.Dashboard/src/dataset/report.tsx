import { useState } from 'preact/hooks';
import { get, post, type BaseModel, type DataReport, type Dataset, type LengthReport, type Page, type Preparation } from '../api';
import { ago, number } from '../format';
import { useLoad } from '../load';
import { Trouble } from '../parts/trouble';
import { Clean } from './clean';
import { Lengths } from './lengths';

const isUnderWay = (one: Preparation) => one.status === 'queued' || one.status === 'running';

/** What is the matter with a dataset, and the cleaned ones that were made of it. */
export function Report({ dataset }: { dataset: Dataset }) {
  const [busy, setBusy] = useState(true);
  const list = useLoad(async signal => {
    const page = await get<Page<Preparation>>(`/datasets/${dataset.id}/preparations?limit=20`, signal);
    setBusy(page.data.some(isUnderWay));
    return page.data;
  }, [dataset.id], busy ? 1000 : 0);
  const reports = (list.value ?? []).filter(one => one.kind === 'report');
  const done = reports.find(one => one.status === 'succeeded');
  const { value: whole, error } = useLoad(async signal => (done ? await get<Preparation>(`/datasets/${dataset.id}/preparations/${done.id}`, signal) : undefined), [dataset.id, done?.id]);
  const begun = () => (setBusy(true), list.again());
  return (
    <>
      <section aria-label="Report">
        <h2>What is in it</h2>
        <Trouble error={list.error ?? error} />
        {reports[0] && reports[0] !== done && <UnderWay one={reports[0]} />}
        {whole?.report && <Found report={whole.report as DataReport} when={whole.finished_at} />}
        <Ask dataset={dataset} begun={begun} again={reports.length > 0} />
      </section>
      {whole?.report && <Clean key={whole.id} dataset={dataset} from={whole} begun={begun} />}
      <Made dataset={dataset} cleanings={(list.value ?? []).filter(one => one.kind === 'cleaning')} />
    </>
  );
}

function UnderWay({ one }: { one: Preparation }) {
  if (one.status === 'failed') return <Trouble error={new Error(one.reason ?? 'It failed.')} />;
  return (
    <p class="progress" role="status">
      <progress max={1} value={one.progress} aria-label="done" /> {one.phase ?? 'waiting for its turn'}
    </p>
  );
}

function Found({ report, when }: { report: DataReport; when: string | null }) {
  return (
    <>
      <dl class="figures">
        {report.files.map(file => (
          <div key={file.split}>
            <dt>{file.split}: {file.encoding}</dt>
            <dd>{number(file.used)} of {number(file.rows)} rows can be used</dd>
          </div>
        ))}
        {report.columns.task && <div><dt>made for</dt><dd>{report.columns.task}</dd></div>}
        <div><dt>looked at</dt><dd>{ago(when)}</dd></div>
      </dl>
      <Lengths lengths={report.lengths as LengthReport} />
      {report.findings.length === 0 && <p class="empty">Nothing is the matter with it, as far as this report can see.</p>}
    </>
  );
}

function Ask({ dataset, begun, again }: { dataset: Dataset; begun: () => void; again: boolean }) {
  const [model, setModel] = useState('');
  const [validation, setValidation] = useState('');
  const [error, setError] = useState<Error>();
  const models = useLoad(signal => get<{ data: BaseModel[] }>('/base-models', signal), []);
  const datasets = useLoad(signal => get<Page<Dataset>>('/datasets?limit=100', signal), []);
  const send = () => void post(`/datasets/${dataset.id}/report`, { ...(model && { base_model: model }), ...(validation && { validation }) }).then(begun, setError);
  return (
    <div class="filters">
      <label>
        Lengths in{' '}
        <select value={model} onChange={event => setModel(event.currentTarget.value)}>
          <option value="">words</option>
          {models.value?.data.filter(one => one.supported).map(one => <option key={one.name} value={one.name}>tokens of {one.name}</option>)}
        </select>
      </label>
      <label>
        Validation rows{' '}
        <select value={validation} onChange={event => setValidation(event.currentTarget.value)}>
          <option value="">none</option>
          {datasets.value?.data.filter(one => one.id !== dataset.id).map(one => <option key={one.id} value={one.id}>{one.name}</option>)}
        </select>
      </label>
      <button onClick={send}>{again ? 'Look again' : 'Look for faults'}</button>
      <Trouble error={error} />
    </div>
  );
}

function Made({ dataset, cleanings }: { dataset: Dataset; cleanings: Preparation[] }) {
  if (cleanings.length === 0) return null;
  return (
    <section aria-label="Cleaned">
      <h2>Cleaned</h2>
      <ul class="findings">{cleanings.map(one => <li key={one.id}>{one.status === 'succeeded' ? <Cleaned dataset={dataset} id={one.id} /> : <UnderWay one={one} />}</li>)}</ul>
    </section>
  );
}

function Cleaned({ dataset, id }: { dataset: Dataset; id: string }) {
  const { value } = useLoad(signal => get<Preparation>(`/datasets/${dataset.id}/preparations/${id}`, signal), [id]);
  if (!value?.cleaned) return null;
  const { train, validation, test, cleaning } = value.cleaned;
  return (
    <>
      <p class="actions">
        <a href={`#/datasets/${train}`}>Training rows</a>
        {validation && <a href={`#/datasets/${validation}`}>Validation rows</a>}
        {test && <a href={`#/datasets/${test}`}>Test rows</a>}
        <a href={`/datasets/${train}/ledger`} download>What became of each row</a>
        <a class="button primary" href={`#/new-job?dataset=${train}${validation ? `&validation=${validation}` : ''}`}>Fine-tune on it</a>
      </p>
      {cleaning?.ledgers?.map(ledger => (
        <p key={ledger.split}>
          {ledger.split}: {number(ledger.rows)} rows = {number(ledger.used)} used
          {Object.entries(ledger.dropped ?? {}).map(([reason, lines]) => ` + ${number(lines.count)} ${reason.replaceAll('_', ' ')}`).join('')}
          {!!ledger.held_out && `; ${number(ledger.held_out)} of them held out for validation`}
          {!!ledger.changed && `; ${number(ledger.changed)} changed`}
          {!!ledger.augmented && `; ${number(ledger.augmented)} copies added`}
        </p>
      ))}
    </>
  );
}
