import { useState } from 'preact/hooks';
import type { JobEvent } from '../api';
import { clock, number, title } from '../format';

/** What happened, the newest first. */
export function Events({ events }: { events: readonly JobEvent[] }) {
  const [all, setAll] = useState(false);
  const newest = [...events].reverse();
  return (
    <section aria-label="Events">
      <h2>Events</h2>
      <ol class="events">
        {(all ? newest : newest.slice(0, 30)).map(happened => {
          const said = say(happened);
          return said && (
            <li key={happened.id} class={(happened.data as { level?: string }).level ?? happened.type}>
              <time dateTime={happened.time}>{clock(happened.time)}</time> {said}
            </li>
          );
        })}
      </ol>
      {!all && newest.length > 30 && <button onClick={() => setAll(true)}>Show all {newest.length}</button>}
    </section>
  );
}

function say({ type, data }: JobEvent) {
  const told = data as Record<string, unknown> & { metrics?: Record<string, number>; samples?: { prompt: string; text: string }[] };
  const figures = Object.entries(told.metrics ?? {}).filter(([name]) => !/runtime|per_second/.test(name)).map(([name, value]) => `${title(name)} ${number(value)}`).join(', ');
  switch (type) {
    case 'status': return <>became <strong>{String(told['status'])}</strong>{told['reason'] ? `: ${told['reason']}` : ''}</>;
    case 'started': return <>attempt {String(told['attempt'])} began at step {String(told['step'])} on {String(told['device'])}: {number(told['train_rows'] as number)} rows to train on, {number(told['validation_rows'] as number)} to validate, {number(told['trainable_parameters'] as number)} of {number(told['total_parameters'] as number)} weights learn</>;
    case 'evaluate': return <>{told['split'] === 'probe' ? 'general text' : String(told['split'])} at step {String(told['step'])}: {figures}</>;
    case 'save': return <>checkpoint {String(told['step'])} saved{told['best'] ? ', the best so far' : ''}</>;
    case 'delete': return <>checkpoint {String(told['step'])} deleted, as save_total_limit says</>;
    case 'diagnosis': return <>{(told['finding'] as { explanation: string }).explanation}</>;
    case 'note': return <>{String(told['message'])}</>;
    case 'succeeded': return <>done: {figures}</>;
    case 'failed': case 'stopped': return <>{String(told['reason'])}</>;
    case 'generate': return (
      <details>
        <summary>what it writes at step {String(told['step'])}</summary>
        {(told.samples ?? []).map(sample => <blockquote key={sample.prompt}><span class="hint">{sample.prompt}</span>{sample.text}</blockquote>)}
      </details>
    );
    default: return null;
  }
}
