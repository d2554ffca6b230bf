import type { components } from './contract';

type Schemas = components['schemas'];
export type Job = Schemas['Job'];
export type JobSpec = Schemas['JobSpec'];
export type JobStatus = Schemas['JobStatus'];
export type Problem = Schemas['Problem'];
/** Whatever has no default is there: only the generator of types cannot tell. */
export type Dataset = Required<Schemas['Dataset']>;
export type ColumnProfile = Schemas['ColumnProfile'];
export type Checkpoint = Required<Schemas['Checkpoint']>;
export type JobEvent = Required<Schemas['Event']>;
export type Metric = Required<Schemas['Metric']>;
export type JobEstimate = Required<Schemas['JobEstimate']>;
export type BaseModel = Schemas['BaseModel'];
export type Workers = Required<Schemas['Workers']>;
export type WhoAmI = Required<Schemas['WhoAmIAnswer']>;
export type Prediction = Schemas['Prediction'];
export type Finding = Schemas['Finding'];
export type Preparation = Required<Schemas['Preparation']>;
export type DataReport = Required<Schemas['DataReport']>;
export type DataFinding = Schemas['DataFinding'];
export type FlaggedRow = Schemas['FlaggedRow'];
export type CleaningRecipe = Schemas['CleaningRecipe'];
export type LengthReport = Omit<Schemas['LengthReport'], 'histogram' | 'truncation'> & { histogram: Required<Schemas['LengthBin']>[]; truncation: Required<Schemas['TruncationShare']>[] };
export type Fault = Required<Schemas['Fault']>;
export type Report = Whole<Schemas['ClassificationReport']>;
export type Comparison = Whole<Schemas['JobComparison']>;
export type JobPair = Whole<Schemas['JobPair']>;

/** Required all the way down. */
type Whole<T> = T extends object ? { [K in keyof T]-?: Whole<T[K]> } : T;

export interface Page<T> {
  data: T[];
  has_more: boolean;
  next_after?: string | null;
}

/** What the service answered instead of what was asked for. */
export class Refusal extends Error {
  constructor(readonly status: number, readonly problem: Partial<Problem>) {
    super(problem.detail || problem.title || (problem as { error?: { message?: string } }).error?.message || `The service answered ${status}.`);
  }

  get faults(): Fault[] {
    return (this.problem.faults ?? []) as Fault[];
  }
}

/** Told when the key is gone: the page asks for one again. */
export const signedOut = new EventTarget();

export async function request(method: string, path: string, body?: unknown, signal?: AbortSignal, headers: Record<string, string> = {}): Promise<Response> {
  const form = body instanceof FormData;
  const response = await fetch(path, {
    method,
    signal: signal ?? null,
    headers: body === undefined || form ? headers : { 'Content-Type': 'application/json', ...headers },
    body: body === undefined ? null : form ? body : JSON.stringify(body),
  });
  if (response.ok) return response;
  if (response.status === 401) signedOut.dispatchEvent(new Event('out'));
  const problem: Partial<Problem> = await response.json().catch(() => ({}));
  throw new Refusal(response.status, problem);
}

async function answer<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const response = await request(method, path, body, signal);
  return response.status === 204 ? (undefined as T) : ((await response.json()) as T);
}

export const get = <T>(path: string, signal?: AbortSignal) => answer<T>('GET', path, undefined, signal);
export const post = <T>(path: string, body: unknown = undefined, signal?: AbortSignal) => answer<T>('POST', path, body, signal);
export const remove = (path: string) => answer<void>('DELETE', path);

/** Uploads with progress, of which `fetch` tells nothing. */
export function upload(path: string, form: FormData, progress: (share: number) => void): Promise<Dataset> {
  return new Promise((resolve, reject) => {
    const call = new XMLHttpRequest();
    call.open('POST', path);
    call.responseType = 'json';
    call.upload.onprogress = happened => progress(happened.total ? happened.loaded / happened.total : 0);
    call.onload = () => (call.status < 300 ? resolve(call.response as Dataset) : reject(new Refusal(call.status, call.response ?? {})));
    call.onerror = () => reject(new Error('The connection broke. Try again.'));
    call.send(form);
  });
}

/** The pieces of a stream of Server-Sent Events that a POST answers with. */
export async function* pieces(response: Response): AsyncGenerator<{ event: string; data: string }> {
  let rest = '';
  for await (const text of response.body!.pipeThrough(new TextDecoderStream())) {
    rest += text;
    for (let end = rest.indexOf('\n\n'); end >= 0; end = rest.indexOf('\n\n')) {
      const lines = rest.slice(0, end).split('\n');
      rest = rest.slice(end + 2);
      const member = (name: string) => lines.filter(line => line.startsWith(`${name}: `)).map(line => line.slice(name.length + 2)).join('\n');
      if (lines.some(line => line.startsWith('data: '))) yield { event: member('event') || 'message', data: member('data') };
    }
  }
}
