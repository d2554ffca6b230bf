import { pieces, request, type Job } from '../api';

export interface Question {
  text: string;
  /** A message, not the beginning of a text. */
  chat: boolean;
  /** Tokens at most. */
  length: number;
  /** 0: always the most probable token. */
  temperature: number;
  signal: AbortSignal;
}

const stream = { Accept: 'text/event-stream' };

/** What the job's best checkpoint writes, piece by piece. */
export async function* askTuned(job: Job, { text, chat, length, temperature, signal }: Question): AsyncGenerator<string> {
  const generation = { max_new_tokens: length, ...(temperature > 0 ? { temperature, do_sample: true } : { do_sample: false }) };
  const body = chat ? { messages: [{ role: 'user', content: text }], generation } : { prompts: [text], generation };
  for await (const { event, data } of pieces(await request('POST', `/jobs/${job.id}/generate`, body, signal, stream))) {
    const piece = JSON.parse(data);
    if (event === 'error') throw new Error(piece.detail ?? piece.title);
    if (event === 'message') yield piece.text ?? '';
  }
}

/** A job's result as base is no model by a name of its own. */
export const hasBase = (job: Job) => !job.spec.base_model.startsWith('job:') && job.spec.init !== 'config';

/** What the model writes that the job began with. */
export async function* askBase(job: Job, { text, chat, length, temperature, signal }: Question): AsyncGenerator<string> {
  const body = { model: job.spec.base_model, stream: true, max_tokens: length, temperature, ...(chat ? { messages: [{ role: 'user', content: text }] } : { prompt: text }) };
  for await (const { data } of pieces(await request('POST', chat ? '/v1/chat/completions' : '/v1/completions', body, signal, stream))) {
    if (data === '[DONE]') return;
    const { error, choices } = JSON.parse(data);
    if (error) throw new Error(error.message);
    yield choices?.[0]?.text ?? choices?.[0]?.delta?.content ?? '';
  }
}
