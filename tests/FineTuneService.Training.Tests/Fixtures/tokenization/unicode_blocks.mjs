// Writes unicode_blocks.tsv: what the Rust library (npm tokenizers 0.23.2) makes of every code point, one hash per component and block of 4096.
import tokenizers from 'tokenizers';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';

const bert = options => tokenizers.bertNormalizer(options);
const normalizers = {
  bert_uncased: bert({ cleanText: true, handleChineseChars: true, stripAccents: true, lowercase: true }),
  bert_cased: bert({ cleanText: true, handleChineseChars: true, stripAccents: false, lowercase: false }),
  nfc: tokenizers.nfcNormalizer(), nfd: tokenizers.nfdNormalizer(), nfkc: tokenizers.nfkcNormalizer(), nfkd: tokenizers.nfkdNormalizer(),
  lowercase: tokenizers.lowercase(), strip_accents: tokenizers.stripAccentsNormalizer(), nmt: tokenizers.nmt(),
};
const preTokenizers = {
  punctuation: tokenizers.punctuationPreTokenizer(), digits: tokenizers.digitsPreTokenizer(true),
  whitespace: tokenizers.whitespacePreTokenizer(), whitespace_split: tokenizers.whitespaceSplitPreTokenizer(),
};
const ask = {
  ...Object.fromEntries(Object.entries(normalizers).map(([name, n]) => [name, text => n.normalizeString(text)])),
  ...Object.fromEntries(Object.entries(preTokenizers).map(([name, p]) => [name, text => p.preTokenizeString(`a${text}b`).map(part => part[0]).join('|')])),
};
// Planes 3 to 13 are empty, 15 and 16 private.
const blocks = [...Array(0x30).keys(), ...[...Array(0x10).keys()].map(block => 0xe0 + block)];
const lines = [];
for (const [name, of] of Object.entries(ask)) {
  for (const block of blocks) {
    const hash = createHash('sha256');
    for (let scalar = block << 12; scalar < (block + 1) << 12; scalar++) {
      if (scalar > 0 && (scalar < 0xd800 || scalar >= 0xe000)) hash.update(of(String.fromCodePoint(scalar)) + '\n', 'utf8');
    }
    lines.push(`${name}\t${block.toString(16)}\t${hash.digest('hex').slice(0, 16)}`);
  }
}
writeFileSync('unicode_blocks.tsv', lines.join('\n') + '\n');
