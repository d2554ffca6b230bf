import { useCallback, useEffect, useState } from 'preact/hooks';

export interface Loaded<T> {
  value?: T;
  error?: Error;
  again: () => void;
}

/** Asks when the keys change, and again every so many milliseconds while the page is seen. */
export function useLoad<T>(ask: (signal: AbortSignal) => Promise<T>, keys: unknown[], every = 0): Loaded<T> {
  const [state, setState] = useState<{ value?: T; error?: Error }>({});
  const [round, setRound] = useState(0);
  const again = useCallback(() => setRound(count => count + 1), []);
  useEffect(() => setState({}), keys);
  useEffect(() => {
    const abort = new AbortController();
    let timer = 0;
    const run = () =>
      (document.hidden ? Promise.resolve() : ask(abort.signal).then(value => setState({ value })))
        .catch((error: Error) => abort.signal.aborted || setState(before => ({ ...before, error })))
        .finally(() => {
          if (every && !abort.signal.aborted) timer = window.setTimeout(run, every);
        });
    void run();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [...keys, round, every]);
  return { ...state, again };
}
