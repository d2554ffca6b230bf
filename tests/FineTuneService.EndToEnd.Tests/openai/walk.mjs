// The official npm client, unchanged: a file in parts, a job, its events and checkpoints, completions, errors. Tells what it saw as JSON.
import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import OpenAI, { toFile } from 'openai';

const [baseURL, chats, preferences] = process.argv.slice(2);
const client = new OpenAI({ baseURL }); // The key is in OPENAI_API_KEY.

async function uploadInParts(path) {
  const bytes = readFileSync(path);
  const upload = await client.uploads.create({ filename: 'chats.jsonl', purpose: 'fine-tune', bytes: bytes.length, mime_type: 'text/jsonl' });
  const middle = bytes.length >> 1;
  const parts = await Promise.all([bytes.subarray(0, middle), bytes.subarray(middle)].map(async part => client.uploads.parts.create(upload.id, { data: await toFile(part, 'part') })));
  return (await client.uploads.complete(upload.id, { part_ids: parts.map(part => part.id) })).file;
}

async function ended(job) {
  while (!['succeeded', 'failed', 'cancelled'].includes(job.status)) {
    await setTimeout(200);
    job = await client.fineTuning.jobs.retrieve(job.id);
  }
  return job;
}

async function all(pages) {
  const items = [];
  for await (const item of pages) items.push(item);
  return items;
}

async function refusal(request) {
  try {
    await request;
  } catch (error) {
    return { name: error.constructor.name, status: error.status, param: error.param, code: error.code, type: error.type, requestID: error.requestID };
  }
}

const file = await client.files.waitForProcessing((await uploadInParts(chats)).id);
const pairs = await client.files.create({ file: await toFile(readFileSync(preferences), 'pairs.jsonl'), purpose: 'fine-tune' });
const metadata = { walk: 'npm' };
const job = await ended(await client.fineTuning.jobs.create({
  model: 'tiny-llama-en', training_file: file.id, validation_file: file.id, suffix: 'npm', seed: 7, metadata,
  method: { type: 'supervised', supervised: { hyperparameters: { n_epochs: 2, batch_size: 8 } } },
}));
const preferred = await ended(await client.fineTuning.jobs.create({ model: 'tiny-llama-en', training_file: pairs.id, method: { type: 'dpo', dpo: { hyperparameters: { n_epochs: 1, beta: 0.2 } } } }));

const messages = [{ role: 'user', content: 'What is an epoch?' }];
const sampling = { model: job.fine_tuned_model, max_tokens: 12, temperature: 0 };
const whole = await client.chat.completions.create({ ...sampling, messages });
let streamed = '', usage;
for await (const chunk of await client.chat.completions.create({ ...sampling, messages, stream: true, stream_options: { include_usage: true } })) {
  streamed += chunk.choices[0]?.delta.content ?? '';
  usage = chunk.usage ?? usage;
}
const checkpoints = await all(client.fineTuning.jobs.checkpoints.list(job.id, { limit: 1 }));
let continued = '';
for await (const chunk of await client.completions.create({ ...sampling, model: checkpoints.at(-1).fine_tuned_model_checkpoint, prompt: 'Once upon a time', stream: true }))
  continued += chunk.choices[0].text;

let requests = 0;
const counting = new OpenAI({ baseURL, fetch: (...request) => (requests++, fetch(...request)) });
const conflict = await refusal(counting.fineTuning.jobs.cancel(job.id));

console.log(JSON.stringify({
  file, job, preferred, checkpoints, whole, streamed, usage, continued, conflict, requests,
  events: await all(client.fineTuning.jobs.listEvents(job.id, { limit: 3 })),
  listed: (await all(client.fineTuning.jobs.list({ metadata, limit: 1 }))).map(one => one.id),
  results: await (await client.files.content(job.result_files[0])).text(),
  files: (await all(client.files.list({ limit: 1, purpose: 'fine-tune' }))).length,
  models: (await all(client.models.list())).map(model => model.id),
  model: await client.models.retrieve(job.fine_tuned_model),
  unknown: await refusal(client.models.retrieve('gpt-4')),
  refused: await refusal(client.fineTuning.jobs.create({ model: 'tiny-llama-en', training_file: 'file-0' })),
  shut: await refusal(new OpenAI({ baseURL, apiKey: 'sk-of-another-service' }).models.list()),
  deleted: await client.models.delete(job.fine_tuned_model),
}));
