import { useEffect, useReducer, useRef, useState } from 'preact/hooks';
import { get, type Job, type JobEvent, type Metric, type Page } from '../api';
import { useLoad } from '../load';
import { addEvent, curvesOf, type Curves } from './series';

/** What the log's pages show of a run's events; the numbers of the steps are in the curves. */
const told = ['status', 'started', 'evaluate', 'generate', 'save', 'delete', 'note', 'diagnosis', 'succeeded', 'failed', 'stopped'];

/** Of a metric; more cannot be told apart on a screen. */
export const points = 1500;

export interface Run {
  job?: Job | undefined;
  error?: Error | undefined;
  curves: Curves;
  /** Counts what was added to the curves. */
  version: number;
  events: readonly JobEvent[];
  /** After something was asked of the job. */
  reload: () => void;
}

/** A job as it stands, and then live. */
export function useRun(id: string): Run {
  const { value: job, error, again } = useLoad(signal => get<Job>(`/jobs/${id}`, signal), [id], 5000);
  const curves = useRef<Curves>(new Map());
  const [events, setEvents] = useState<readonly JobEvent[]>([]);
  const [version, changed] = useReducer((count: number) => count + 1, 0);
  const [attempt, begin] = useReducer((count: number) => count + 1, 0);

  useEffect(() => {
    const abort = new AbortController();
    let seen = -1; // The curves hold the log up to here, once they are loaded.
    let waiting: JobEvent[] | null = [];
    let frame = 0;
    const redraw = () => {
      frame ||= window.setTimeout(() => ((frame = 0), changed(undefined)), 100);
    };
    const take = (happened: JobEvent) => {
      if ((happened.seq ?? 0) <= seen) return;
      addEvent(curves.current, happened);
      redraw();
    };
    const stream = new EventSource(`/jobs/${id}/events?last=0`);
    for (const type of [...told, 'log'])
      stream.addEventListener(type, message => {
        const happened = JSON.parse(message.data) as JobEvent;
        if (type === 'started') begin(undefined); // What an earlier attempt logged beyond its step is void.
        if (type === 'status') again();
        if (type === 'log' || type === 'evaluate') waiting ? waiting.push(happened) : take(happened);
        if (type !== 'log') setEvents(before => [...before, happened]);
      });

    void get<Page<JobEvent>>(`/jobs/${id}/events?last=300&types=${told.join()}`, abort.signal)
      .then(page => setEvents(live => [...page.data, ...live.filter(one => one.id > (page.data.at(-1)?.id ?? 0))]))
      .catch(() => {});
    void get<Page<Metric>>(`/jobs/${id}/metrics?points=${points}`, abort.signal)
      .then(page => {
        curves.current = curvesOf(page.data);
        seen = page.data.at(-1)?.seq ?? -1;
        for (const happened of waiting ?? []) take(happened);
        waiting = null;
        changed(undefined);
      })
      .catch(() => {});
    return () => {
      abort.abort();
      stream.close();
      clearTimeout(frame);
    };
  }, [id, attempt]);

  return { job, error, curves: curves.current, version, events, reload: again };
}
