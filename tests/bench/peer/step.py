"""Training steps of a DistilBERT classifier with random weights, as Trainer takes them by default (fused AdamW, gradients clipped to 1). Usage: step.py FOLDER, which holds shape.json."""
import json
import resource
import sys
import time

import torch
import transformers

with open(f"{sys.argv[1]}/shape.json") as file:
    shape = json.load(file)
is_bf16 = shape["precision"] == "Bf16"
torch.manual_seed(1)
config = transformers.DistilBertConfig(
    dim=shape["hidden"], n_heads=shape["heads"], hidden_dim=4 * shape["hidden"], n_layers=shape["layers"], attn_implementation="sdpa", dropout=0.0, attention_dropout=0.0, seq_classif_dropout=0.0)
model = transformers.DistilBertForSequenceClassification(config)
model.train()
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5, fused=True)
ids = torch.randint(1, 30_000, (shape["batch"], shape["sequence"]))
labels = torch.randint(0, 2, (shape["batch"],))
mask = torch.ones_like(ids)
spent = [0.0, 0.0, 0.0]
for step in range(-2, shape["steps"]):
    begin = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=is_bf16):
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
    forward = time.perf_counter()
    loss.backward()
    backward = time.perf_counter()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    end = time.perf_counter()
    if step >= 0:
        for part, seconds in enumerate((forward - begin, backward - forward, end - backward)):
            spent[part] += seconds * 1000 / shape["steps"]
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
a, b = (torch.randn(2048, 2048, dtype=torch.bfloat16 if is_bf16 else torch.float32) for _ in range(2))
for _ in range(3):
    a @ b
begin = time.perf_counter()
for _ in range(5):
    a @ b
print(json.dumps(dict(forward=spent[0], backward=spent[1], optimizer=spent[2], gemm=5 * 2 * 2048**3 / (time.perf_counter() - begin), peak_bytes=peak)))
