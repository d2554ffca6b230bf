// Writes truncation.jsonl: longest_first truncation by the Rust library (npm tokenizers 0.23.2), run beside the tokenizers' folders.
import tokenizers from 'tokenizers';
import { writeFileSync } from 'node:fs';

const words = 'one two three four five six seven eight nine ten eleven twelve'.split(' ');
const lengths = [[0, 3], [2, 9], [9, 2], [5, 5], [12, 12], [6, 11], [11, 6], [1, 1], [12, null], [3, null]];
const lines = [];
for (const [name, limits] of [['bert-base-uncased', [3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 16, 30]], ['roberta-base', [4, 5, 7, 8, 9, 12]]]) {
  for (const limit of limits) {
    for (const [first, second] of lengths) {
      const tokenizer = tokenizers.Tokenizer.fromFile(`${name}/tokenizer.json`);
      tokenizer.setTruncation(limit, { strategy: 'LongestFirst' });
      const text = words.slice(0, first).join(' ');
      const pair = second === null ? null : words.slice(12 - second).join(' ');
      const encoding = await tokenizer.encode(text, pair, { addSpecialTokens: true });
      lines.push(JSON.stringify({ tokenizer: name, text, pair, max_length: limit, ids: encoding.getIds(), type_ids: encoding.getTypeIds() }));
    }
  }
}
writeFileSync('truncation.jsonl', lines.join('\n') + '\n');
