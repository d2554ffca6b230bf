"""Makes tiny-llama: a byte-level BPE of 512 tokens learnt from tinyshakespeare, a ChatML template with generation blocks, and random weights.
Usage: python3 tiny_llama.py input.txt FOLDER"""
import json, sys, torch
from tokenizers import Tokenizer, models, pre_tokenizers, decoders, trainers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
text = open(sys.argv[1]).read()
t = Tokenizer(models.BPE())
t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
t.decoder = decoders.ByteLevel()
tr = trainers.BpeTrainer(vocab_size=512, special_tokens=['<|endoftext|>','<|im_start|>','<|im_end|>'], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
t.train_from_iterator([text[i:i+2000] for i in range(0,400000,2000)], tr)
t.post_processor = processors.ByteLevel(trim_offsets=False)
template = ("{%- for message in messages -%}\n"
"{{- '<|im_start|>' + message['role'] + '\\n' -}}\n"
"{%- if message['role'] == 'assistant' -%}\n"
"{%- generation -%}{{- message['content'] + '<|im_end|>' -}}{%- endgeneration -%}\n"
"{%- else -%}\n"
"{{- message['content'] + '<|im_end|>' -}}\n"
"{%- endif -%}\n"
"{{- '\\n' -}}\n"
"{%- endfor -%}\n"
"{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}")
f = PreTrainedTokenizerFast(tokenizer_object=t, eos_token='<|endoftext|>', pad_token='<|endoftext|>', model_max_length=256)
f.chat_template = template
f.save_pretrained(sys.argv[2])
torch.manual_seed(7)
c = LlamaConfig(vocab_size=512, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256, tie_word_embeddings=True, bos_token_id=0, eos_token_id=0, pad_token_id=None, rms_norm_eps=1e-6)
m = LlamaForCausalLM(c); m.save_pretrained(sys.argv[2])
