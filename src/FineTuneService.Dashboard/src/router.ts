import { useSyncExternalStore } from 'preact/compat';

/** The address behind the `#`: the paths themselves belong to the API. */
export const here = () => location.hash.slice(1) || '/jobs';

function subscribe(changed: () => void) {
  addEventListener('hashchange', changed);
  return () => removeEventListener('hashchange', changed);
}

/** The parts of the path, and the query. */
export function useRoute(): { parts: string[]; query: URLSearchParams } {
  const address = useSyncExternalStore(subscribe, here);
  const [path = '', query = ''] = address.split('?');
  return { parts: path.split('/').filter(Boolean).map(decodeURIComponent), query: new URLSearchParams(query) };
}

export const go = (address: string) => {
  location.hash = address;
};
