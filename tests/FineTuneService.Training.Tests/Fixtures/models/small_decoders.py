# Golden cases of rotary kinds, windows and a token head: python3 make.py OUT
import json, os, sys, torch, transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForTokenClassification
torch.use_deterministic_algorithms(True); torch.set_num_threads(1)
out = sys.argv[1]
base = dict(vocab_size=64, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=64,
            rms_norm_eps=1e-6, pad_token_id=0, bos_token_id=1, eos_token_id=2, tie_word_embeddings=True)
cases = {
  "llama-rope-linear-clm": ("llama", dict(rope_parameters=dict(rope_type="linear", factor=2.0, rope_theta=10000.0))),
  "llama-rope-dynamic-clm": ("llama", dict(max_position_embeddings=16, rope_parameters=dict(rope_type="dynamic", factor=2.0, rope_theta=10000.0))),
  "llama-rope-llama3-clm": ("llama", dict(rope_parameters=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16, rope_theta=10000.0))),
  "llama-rope-yarn-clm": ("llama", dict(rope_parameters=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=16, rope_theta=10000.0, beta_fast=4.0, beta_slow=1.0))),
  "phi3-rope-longrope-clm": ("phi3", dict(original_max_position_embeddings=16, rope_parameters=dict(rope_type="longrope", rope_theta=10000.0, partial_rotary_factor=0.5, short_factor=[1.0, 1.1], long_factor=[1.5, 4.0]))),
  "mistral-window-clm": ("mistral", dict(sliding_window=5, head_dim=12)),
  "qwen2-window-clm": ("qwen2", dict(use_sliding_window=True, sliding_window=5, max_window_layers=1)),
  "llama-tokencls": ("llama", dict(num_labels=5, classifier_dropout=0.0)),
}
for name, (kind, extra) in cases.items():
    torch.manual_seed(sum(map(ord, name)))
    config = AutoConfig.for_model(kind, **{**base, **extra})
    config._attn_implementation = "eager"
    token = name.endswith("tokencls")
    make = (AutoModelForTokenClassification if token else AutoModelForCausalLM).from_config
    model = make(config, attn_implementation="eager").float()
    with torch.no_grad():
        for key, p in model.named_parameters():
            p.normal_(1.0 if "norm" in key else 0.0, 0.2 if "norm" in key else 0.35)
    ids = torch.randint(3, 64, (3, 24)); mask = torch.ones_like(ids)
    for row, length in ((1, 13), (2, 19)):
        ids[row, length:] = 0; mask[row, length:] = 0
    labels = torch.where(mask.bool(), ids % 5 if token else ids, -100); labels[:, :2] = -100
    model.eval(); got = model(input_ids=ids, attention_mask=mask, labels=labels)
    rows = {f"{i},{j}": got.logits[i, j].tolist() for i, j in ((0, 0), (0, 23), (1, 7), (2, 18))}
    model.train(); model.zero_grad()
    model(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
    gradients = {k: dict(l2=p.grad.norm().item(), head=p.grad.flatten()[:4].tolist()) for k, p in model.named_parameters()}
    golden = dict(case=name, architecture=type(model).__name__, transformers=transformers.__version__, torch=torch.__version__, attention="eager", dtype="float32",
                  batches=[dict(input_ids=ids.tolist(), attention_mask=mask.tolist(), labels=labels.tolist())],
                  forward=dict(loss=got.loss.item(), logits_rows=rows), gradients=gradients)
    model.eval(); folder = os.path.join(out, name); model.save_pretrained(folder)
    if not token:
        # Where frequencies change with the length, transformers' cached steps mix keys of both (dynamic) or lose the text before the change (longrope, 5.12.1); uncached there is one truth.
        model.generation_config.eos_token_id = None
        fresh = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval(); fresh.generation_config.eos_token_id = None
        done = fresh.generate(ids[:1, :10], attention_mask=torch.ones(1, 10, dtype=torch.long), max_new_tokens=14, do_sample=False, use_cache=not any(kind in name for kind in ("dynamic", "longrope")))
        golden["greedy"] = dict(prompt=ids[0, :10].tolist(), max_new_tokens=14, ids=done[0].tolist())
    json.dump(golden, open(os.path.join(folder, "golden.json"), "w"))
    print(name, got.loss.item(), golden.get("greedy", {}).get("ids"), flush=True)
