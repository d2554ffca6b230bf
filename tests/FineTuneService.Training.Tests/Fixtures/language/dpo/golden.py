"""Makes golden.json: DPO (sigmoid, with label smoothing, and IPO) in plain PyTorch on the tiny Llama of ../../models/llama-clm.
Usage: python3 golden.py MODEL_FOLDER > golden.json"""
import copy, json, sys
import torch, transformers
from transformers import AutoModelForCausalLM
import torch.nn.functional as F

torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)
END, BETA, RATE, STEPS = 2, 0.1, 1e-3, 6
generator = torch.Generator().manual_seed(11)
def ids(n): return torch.randint(3, 160, (n,), generator=generator).tolist()
pairs = [dict(prompt=ids(p), chosen=ids(c), rejected=ids(r)) for p, c, r in [(4, 5, 3), (7, 2, 6), (3, 4, 4), (5, 1, 7)]]

def batch(rows):
    texts = [(p["prompt"], p["chosen"] + [END]) for p in rows] + [(p["prompt"], p["rejected"] + [END]) for p in rows]
    width = max(len(a) + len(b) for a, b in texts)
    pad = lambda values, filler: values + [filler] * (width - len(values))
    return (torch.tensor([pad(a + b, 0) for a, b in texts]), torch.tensor([pad([1] * len(a + b), 0) for a, b in texts]),
            torch.tensor([pad([0] * len(a) + [1] * len(b), 0) for a, b in texts]))

def logps(model, rows):
    tokens, mask, learnt = batch(rows)
    logits = model(input_ids=tokens, attention_mask=mask).logits[:, :-1]
    each = torch.gather(F.log_softmax(logits, -1), 2, tokens[:, 1:, None])[..., 0]
    return (each * learnt[:, 1:]).sum(1), learnt[:, 1:].sum(1)

def losses(kind, smoothing, policy, reference, lengths):
    n = len(policy) // 2
    ratios = policy - reference
    if kind == "ipo":
        mean = ratios / lengths
        return (mean[:n] - mean[n:] - 1 / (2 * BETA)) ** 2
    delta = BETA * (ratios[:n] - ratios[n:])
    return -F.logsigmoid(delta) * (1 - smoothing) - F.logsigmoid(-delta) * smoothing

runs = []
for kind, smoothing in [("sigmoid", 0.0), ("sigmoid", 0.1), ("ipo", 0.0)]:
    model = AutoModelForCausalLM.from_pretrained(sys.argv[1], attn_implementation="eager").float().eval()
    with torch.no_grad():
        reference, lengths = logps(model, pairs)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0)
    steps = []
    for _ in range(STEPS):
        policy, _ = logps(model, pairs)
        loss = losses(kind, smoothing, policy, reference, lengths).mean()
        rewards = BETA * (policy - reference).detach()
        n = len(pairs)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step(); optimizer.zero_grad()
        steps.append({"loss": loss.item(), "grad_norm": norm.item(), "rewards/chosen": rewards[:n].mean().item(), "rewards/rejected": rewards[n:].mean().item(),
                      "rewards/margins": (rewards[:n] - rewards[n:]).mean().item(), "rewards/accuracies": (rewards[:n] > rewards[n:]).float().mean().item(),
                      "logps/chosen": policy[:n].detach().mean().item(), "logps/rejected": policy[n:].detach().mean().item()})
    runs.append({"loss_type": kind, "label_smoothing": smoothing, "beta": BETA, "steps": steps})
print(json.dumps({"maker": f"torch {torch.__version__}, transformers {transformers.__version__}", "learning_rate": RATE, "pairs": pairs, "runs": runs}, indent=1))
