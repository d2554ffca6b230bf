import { useEffect, useMemo, useState } from 'preact/hooks';
import { get, post, Refusal, type BaseModel, type Dataset, type Job, type JobEstimate, type Page } from '../api';
import { bytes, duration, number } from '../format';
import { comparesWithBase, guess, headOf, replays, tasks, type Task } from '../new-job/guess';
import { useLoad } from '../load';
import { Trouble } from '../parts/trouble';
import { go } from '../router';

interface Draft {
  name: string;
  model: string;
  dataset: string;
  validation: string;
  task: Task;
  text: string;
  pair: string;
  label: string;
  method: 'full' | 'lora' | 'qlora';
  rank: number;
  epochs: number;
  batch: number;
  rate: number;
  split: number;
  length: string;
  replay: string;
  replayed: number;
  kl: number;
}

const first: Draft = { name: '', model: '', dataset: '', validation: '', task: 'text-classification', text: '', pair: '', label: '', method: 'full', rank: 16, epochs: 3, batch: 16, rate: 5e-5, split: 0.1, length: '', replay: '', replayed: 0.1, kl: 0 };

/** A form for what most jobs need; the specification beside it can be edited for the rest. */
export function NewJobPage({ dataset, validation, from }: { dataset: string | null; validation: string | null; from: string | null }) {
  const [draft, setDraft] = useState<Draft>({ ...first, dataset: dataset ?? '', validation: validation ?? '' });
  const [own, setOwn] = useState<string>(); // The specification once it was edited by hand.
  const [error, setError] = useState<Error>();
  const models = useLoad(signal => get<{ data: BaseModel[] }>('/base-models', signal), []);
  const datasets = useLoad(signal => get<Page<Dataset>>('/datasets?limit=100', signal), []);
  const set = <K extends keyof Draft>(name: K) => (value: Draft[K]) => setDraft(before => ({ ...before, [name]: value }));

  useEffect(() => {
    if (from) void get<Job>(`/jobs/${from}`).then(job => setOwn(JSON.stringify({ ...job.spec, name: `${job.name ?? 'job'} again` }, null, 2)), setError);
  }, [from]);

  const datasetOptions = (datasets.value?.data ?? []).map((one): [string, string] => [one.id, `${one.name} (${number(one.rows)} rows)`]);
  const otherDatasets = datasetOptions.filter(([id]) => id !== draft.dataset);
  const chosen = datasets.value?.data.find(one => one.id === draft.dataset);
  useEffect(() => {
    if (chosen) setDraft(before => ({ ...before, ...guess(chosen) }));
  }, [chosen?.id]);
  const usable = (models.value?.data ?? []).filter(model => model.supported && model.has_weights && model.heads?.includes(headOf(draft.task)));
  useEffect(() => {
    if (usable.length > 0 && !usable.some(model => model.name === draft.model)) set('model')(usable[0]!.name);
  }, [draft.task, models.value]);

  const text = own ?? JSON.stringify(specOf(draft), null, 2);
  const spec = useMemo(() => parse(text), [text]);
  const send = () => {
    setError(undefined);
    post<Job>('/jobs', spec).then(job => go(`/jobs/${job.id}`), setError);
  };

  return (
    <>
      <div class="title">
        <h1>New job</h1>
        <button class="primary" disabled={!spec} onClick={send}>Start training</button>
      </div>
      <Trouble error={error ?? models.error ?? datasets.error} />
      <div class="split">
        {own === undefined && (
          <form class="fields" onSubmit={event => (event.preventDefault(), send())}>
            <Choice name="Dataset" value={draft.dataset} set={set('dataset')} options={datasetOptions} none="choose one" />
            {datasets.value?.data.length === 0 && <p class="hint"><a href="#/datasets">Upload one</a> first.</p>}
            <Choice name="What to learn" value={draft.task} set={value => set('task')(value as Task)} options={Object.entries(tasks)} />
            {chosen && draft.task === 'text-classification' && (
              <>
                <Choice name="Column with the text" value={draft.text} set={set('text')} options={columns(chosen)} none="find it" />
                <Choice name="Column with the second text" value={draft.pair} set={set('pair')} options={columns(chosen)} none="none: texts are judged alone" />
                <Choice name="Column with the label" value={draft.label} set={set('label')} options={columns(chosen)} none="find it" />
              </>
            )}
            {chosen && (draft.task === 'causal-lm' || draft.task === 'masked-lm') && <Choice name="Column with the text" value={draft.text} set={set('text')} options={columns(chosen)} none="find it" />}
            <Choice name="Base model" value={draft.model} set={set('model')} options={usable.map(model => [model.name, `${model.name} (${model.model_type}, ${number(model.parameters)} weights)`])} none={usable.length ? undefined : 'none fits this task'} />
            <Choice name="Method" value={draft.method} set={value => set('method')(value as Draft['method'])} options={[['full', 'all weights'], ['lora', 'LoRA: a small adapter'], ['qlora', 'QLoRA: an adapter on 4-bit weights']]} />
            {draft.method !== 'full' && <Count name="Rank of the adapter" value={draft.rank} set={set('rank')} min={1} max={512} />}
            <Count name="Epochs" value={draft.epochs} set={set('epochs')} min={0.1} max={1000} step={0.1} />
            <Count name="Rows per step" value={draft.batch} set={set('batch')} min={1} max={4096} />
            <Count name="Learning rate" value={draft.rate} set={set('rate')} min={0} max={1} step={1e-6} />
            <Choice name="Validation rows" value={draft.validation} set={set('validation')} options={otherDatasets} none="a share of the dataset" />
            {!draft.validation && <Count name="Share held out for validation" value={draft.split} set={set('split')} min={0} max={0.5} step={0.01} />}
            <label>Longest row, in tokens <input inputMode="numeric" pattern="\d*" value={draft.length} placeholder="the model's limit" onInput={event => set('length')(event.currentTarget.value)} /></label>
            {replays(draft.task) && (
              <details>
                <summary>Against forgetting</summary>
                <Choice name="Rows to learn again" value={draft.replay} set={set('replay')} options={otherDatasets} none="none" />
                {draft.replay && <Count name="Their share of an epoch" value={draft.replayed} set={set('replayed')} min={0.01} max={0.99} step={0.01} />}
                {comparesWithBase(draft.task) && <Count name="Weight of staying near the base model (KL)" value={draft.kl} set={set('kl')} min={0} max={100} step={0.01} />}
              </details>
            )}
            <label>Name <input value={draft.name} onInput={event => set('name')(event.currentTarget.value)} placeholder="for people" /></label>
          </form>
        )}
        <div class="beside">
          <Memory spec={spec} />
          <h2>The request</h2>
          <textarea class="code" aria-label="Specification" rows={24} spellcheck={false} value={text} onInput={event => setOwn(event.currentTarget.value)} />
          {!spec && <p class="error" role="alert">This is no JSON.</p>}
          <p>
            {own !== undefined && !from && <button onClick={() => setOwn(undefined)}>Back to the form</button>}
            <button onClick={() => void navigator.clipboard.writeText(curl(text))}>Copy as curl</button>
          </p>
        </div>
      </div>
    </>
  );
}

const columns = (dataset: Dataset): [string, string][] => dataset.profile.columns.map(column => [column.name, column.name]);

function specOf(draft: Draft) {
  const task = draft.task;
  return {
    ...(draft.name && { name: draft.name }),
    base_model: draft.model,
    task,
    dataset: {
      train: draft.dataset,
      ...(draft.validation ? { validation: draft.validation } : { validation_split: draft.split }),
      ...(draft.text && task !== 'sft' && task !== 'dpo' && { text_column: draft.text }),
      ...(draft.pair && task === 'text-classification' && { text_pair_column: draft.pair }),
      ...(draft.label && task === 'text-classification' && { label_column: draft.label }),
      ...(draft.replay && replays(task) && { replay: { dataset: draft.replay, fraction: draft.replayed } }),
    },
    ...(draft.method !== 'full' && { method: { type: draft.method, r: draft.rank, lora_alpha: 2 * draft.rank, target_modules: 'all-linear' } }),
    training: { num_train_epochs: draft.epochs, per_device_train_batch_size: draft.batch, learning_rate: draft.rate, ...(draft.length && { max_length: Number(draft.length) }), ...(draft.kl > 0 && comparesWithBase(task) && { kl_to_base_weight: draft.kl }) },
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const curl = (spec: string) => `curl ${location.origin}/jobs -H "Authorization: Bearer $FINETUNE_API_KEY" -H 'Content-Type: application/json' -d '${spec.replaceAll("'", "'\\''")}'`;

/** What the job would need, asked again once typing has paused. */
function Memory({ spec }: { spec: unknown }) {
  const [told, setTold] = useState<JobEstimate | Error>();
  const text = JSON.stringify(spec);
  useEffect(() => {
    if (!(spec as { dataset?: { train?: string } })?.dataset?.train) return setTold(undefined);
    const abort = new AbortController();
    const timer = setTimeout(() => void post<JobEstimate>('/jobs/estimate', spec, abort.signal).then(setTold, (error: Error) => abort.signal.aborted || setTold(error)), 500);
    return () => (abort.abort(), clearTimeout(timer));
  }, [text]);
  if (!told) return <p class="hint">Choose a dataset: then the memory that the job will need is told here.</p>;
  if (told instanceof Error) return told instanceof Refusal ? <Trouble error={told} /> : null;
  const needed = told.forecast.peak_bytes ?? 0;
  const change = told.smallest_change;
  return (
    <section aria-label="Memory" class={`memory ${told.verdict}`}>
      <p>
        Needs <strong>{bytes(needed)}</strong> of memory; {bytes(told.available_bytes)} are free here. {{ fits: 'That fits.', tight: 'That is tight.', does_not_fit: 'That does not fit.' }[told.verdict]}
      </p>
      <progress max={told.available_bytes} value={needed} aria-label="share of the free memory" />
      {change && <p>With {change.edits?.map(edit => <code key={edit.pointer}>{edit.pointer} = {JSON.stringify(edit.value)} </code>)} it needs {bytes(change.peak_bytes)}: {change.cost}</p>}
      <p>
        {told.time ? (
          <>About <strong>{duration(told.time.seconds)}</strong> for {number(told.time.steps)} steps, as long as <a href={`#/jobs/${told.time.job}`}>the last job like it</a> took for each row{!told.time.same_dataset && ' of another dataset'}.</>
        ) : (
          'How long it takes is told once a job with this model and method has succeeded.'
        )}
      </p>
      <p class="hint">{number(told.forecast.trainable_parameters)} of {number(told.forecast.parameters)} weights learn.</p>
    </section>
  );
}

function Choice({ name, value, set, options, none }: { name: string; value: string; set: (value: string) => void; options: [string, string][]; none?: string | undefined }) {
  return (
    <label>
      {name}
      <select value={value} onChange={event => set(event.currentTarget.value)}>
        {none && <option value="">{none}</option>}
        {options.map(([key, shown]) => <option key={key} value={key}>{shown}</option>)}
      </select>
    </label>
  );
}

function Count({ name, value, set, min, max, step = 1 }: { name: string; value: number; set: (value: number) => void; min: number; max: number; step?: number }) {
  return (
    <label>
      {name}
      <input type="number" min={min} max={max} step={step} value={value} required onInput={event => Number.isFinite(event.currentTarget.valueAsNumber) && set(event.currentTarget.valueAsNumber)} />
    </label>
  );
}
