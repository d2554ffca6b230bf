import { useState } from 'preact/hooks';
import { post, type Job, type Prediction } from '../api';
import { number, percent } from '../format';
import { Trouble } from '../parts/trouble';
import { askBase, askTuned, hasBase } from './ask';

/** Asks the best checkpoint. */
export function TryIt({ job }: { job: Job }) {
  const task = job.spec.task?.type ?? '';
  return task.endsWith('-classification') ? <Classify job={job} /> : ['causal-lm', 'sft', 'dpo'].includes(task) ? <Write job={job} chat={task !== 'causal-lm'} /> : null;
}

function Classify({ job }: { job: Job }) {
  const [text, setText] = useState('');
  const [pair, setPair] = useState('');
  const [prediction, setPrediction] = useState<Prediction>();
  const [error, setError] = useState<Error>();
  const [busy, setBusy] = useState(false);
  const judgesPairs = Boolean(job.spec.dataset?.text_pair_column);
  const ask = (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    post<{ predictions: Prediction[] }>(`/jobs/${job.id}/predict`, { inputs: [{ text, ...(judgesPairs && { text_pair: pair }) }] })
      .then(answer => setPrediction(answer.predictions[0]), setError)
      .finally(() => setBusy(false));
  };
  const shares = Object.entries(prediction?.probabilities ?? {}).sort(([, a], [, b]) => b - a).slice(0, 8);
  return (
    <section aria-label="Try it">
      <h2>Try it</h2>
      <form class="try" onSubmit={ask}>
        <textarea aria-label="Text to classify" rows={3} required value={text} onInput={event => setText(event.currentTarget.value)} placeholder="A text such as those it was trained on" />
        {judgesPairs && <textarea aria-label="Second text" rows={3} required value={pair} onInput={event => setPair(event.currentTarget.value)} placeholder="The second text of the pair" />}
        <button class="primary" disabled={busy}>{busy ? 'Reading…' : 'Classify'}</button>
      </form>
      <Trouble error={error} />
      <div aria-live="polite">
        {prediction && prediction.label && <p><strong>{prediction.label}</strong></p>}
        {prediction?.labels && <p>{prediction.labels.join(', ') || 'none of the classes'}</p>}
        {prediction?.value != null && <p><strong>{number(prediction.value)}</strong></p>}
        {prediction?.entities && <Entities text={text} entities={prediction.entities} />}
        {shares.length > 0 && (
          <ul class="bars">
            {shares.map(([label, share]) => (
              <li key={label}><span>{label}</span><span class="bar" style={{ width: `${60 * share}%` }} /><span class="number">{percent(share)}</span></li>
            ))}
          </ul>
        )}
        {prediction && (prediction.truncated_tokens ?? 0) > 0 && <p class="hint">{prediction.truncated_tokens} tokens were cut off: the model reads no more.</p>}
      </div>
    </section>
  );
}

function Entities({ text, entities }: { text: string; entities: NonNullable<Prediction['entities']> }) {
  const found = entities as { entity_group?: string; label?: string; start?: number; end?: number; score?: number }[];
  if (found.length === 0) return <p>Nothing was found in it.</p>;
  return <p>{found.map((entity, index) => <span key={index} class="tag">{text.slice(entity.start, entity.end)} · {entity.label ?? entity.entity_group} {entity.score != null && percent(entity.score)}</span>)}</p>;
}

function Write({ job, chat }: { job: Job; chat: boolean }) {
  const [text, setText] = useState('');
  const [temperature, setTemperature] = useState(0.7);
  const [length, setLength] = useState(128);
  const [beside, setBeside] = useState(false);
  const [written, setWritten] = useState<{ tuned: string; base: string }>();
  const [error, setError] = useState<Error>();
  const [abort, setAbort] = useState<AbortController>();
  const ask = async (event: Event) => {
    event.preventDefault();
    const stop = new AbortController();
    setAbort(stop);
    setWritten({ tuned: '', base: '' });
    setError(undefined);
    const add = async (to: 'tuned' | 'base', pieces: AsyncGenerator<string>) => {
      for await (const piece of pieces) setWritten(before => before && { ...before, [to]: before[to] + piece });
    };
    const question = { text, chat, length, temperature, signal: stop.signal };
    await Promise.all([add('tuned', askTuned(job, question)), beside && add('base', askBase(job, question))]).catch((refusal: Error) => stop.signal.aborted || setError(refusal));
    setAbort(undefined);
  };
  return (
    <section aria-label="Try it">
      <h2>Try it</h2>
      <form class="try" onSubmit={ask}>
        <textarea aria-label={chat ? 'Message' : 'Beginning of a text'} rows={3} required value={text} onInput={event => setText(event.currentTarget.value)} placeholder={chat ? 'Ask it something' : 'Begin a text; it goes on'} />
        <label>Temperature <input type="number" min={0} max={2} step={0.1} value={temperature} onInput={event => setTemperature(event.currentTarget.valueAsNumber)} /></label>
        <label>Tokens <input type="number" min={1} max={2048} value={length} onInput={event => setLength(event.currentTarget.valueAsNumber)} /></label>
        {hasBase(job) && <label><input type="checkbox" checked={beside} onChange={event => setBeside(event.currentTarget.checked)} /> Beside the base model</label>}
        {abort ? <button type="button" onClick={() => abort.abort()}>Stop</button> : <button class="primary">{chat ? 'Ask' : 'Continue'}</button>}
      </form>
      <Trouble error={error} />
      {written && (
        <div class="split">
          <Answer name="This job" start={chat ? '' : text} text={written.tuned} busy={!!abort} />
          {beside && <Answer name={job.spec.base_model} start={chat ? '' : text} text={written.base} busy={!!abort} />}
        </div>
      )}
    </section>
  );
}

function Answer({ name, start, text, busy }: { name: string; start: string; text: string; busy: boolean }) {
  return (
    <figure class="answer" aria-label={`Answer of ${name}`}>
      <figcaption class="hint">{name}</figcaption>
      <blockquote aria-live="polite"><span class="hint">{start}</span>{text}{busy && <span class="caret" />}</blockquote>
    </figure>
  );
}
