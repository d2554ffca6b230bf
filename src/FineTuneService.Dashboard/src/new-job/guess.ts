import type { ColumnProfile, Dataset } from '../api';

/** What a job can learn, in words. */
export const tasks = {
  'text-classification': 'sort texts into classes',
  sft: 'answer as in these conversations',
  'causal-lm': 'go on writing as these texts do',
  dpo: 'prefer the better of two answers',
  'token-classification': 'mark words in texts',
  'masked-lm': 'fill in masked words (encoders)',
  'replaced-token-detection': 'tell which words were swapped (ELECTRA)',
};

export type Task = keyof typeof tasks;

export type Head = 'sequence_classification' | 'token_classification' | 'causal_lm' | 'masked_lm' | 'replaced_token_detection';

export function headOf(task: Task): Head {
  switch (task) {
    case 'text-classification': return 'sequence_classification';
    case 'token-classification': return 'token_classification';
    case 'masked-lm': return 'masked_lm';
    case 'replaced-token-detection': return 'replaced_token_detection';
    default: return 'causal_lm';
  }
}

/** Tasks that predict tokens: rows can be learnt again beside the new ones. */
export const replays = (task: Task) => task === 'sft' || task === 'causal-lm' || task === 'masked-lm' || task === 'replaced-token-detection';

/** Tasks whose base model has something to say that the new one can be held to. */
export const comparesWithBase = (task: Task) => replays(task) && task !== 'replaced-token-detection';

/** Texts that are judged together, by the names that they usually have. */
const pairs = [['sentence1', 'sentence2'], ['premise', 'hypothesis'], ['question1', 'question2'], ['question', 'sentence'], ['question', 'passage'], ['text', 'text_pair'], ['text1', 'text2']] as const;

const named = (columns: readonly ColumnProfile[], ...names: string[]) => columns.find(column => names.includes(column.name.toLowerCase()));

/** What somebody probably wants of a dataset with these columns. */
export function guess({ profile: { columns } }: Dataset): { task: Task; text: string; pair: string; label: string } {
  const found = (task: Task, text = '', label = '', pair = '') => ({ task, text, pair, label });
  if (named(columns, 'chosen') && named(columns, 'rejected')) return found('dpo');
  if (named(columns, 'messages', 'conversations', 'conversation')) return found('sft');
  if (named(columns, 'completion', 'response', 'output', 'answer') && named(columns, 'prompt', 'instruction', 'question')) return found('sft');
  if (named(columns, 'ner_tags', 'tags', 'pos_tags', 'chunk_tags') && named(columns, 'tokens', 'words')) return found('token-classification');
  const [first, second] = pairs.find(names => names.every(name => columns.some(column => column.name === name))) ?? [];
  const text = columns.find(column => column.name === first) ?? named(columns, 'text', 'sentence', 'content') ?? [...columns].filter(column => column.kind === 'string').sort((a, b) => (b.mean_length ?? 0) - (a.mean_length ?? 0))[0];
  const label = named(columns, 'label', 'labels', 'category', 'intent', 'class', 'target') ?? columns.find(column => column !== text && column.name !== second && !column.distinct_is_more && column.distinct >= 2 && column.distinct <= 200 && column.counts);
  return label ? found('text-classification', text?.name, label.name, second) : found('causal-lm', text?.name);
}
