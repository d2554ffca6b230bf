"""Golden numbers of schedules, optimizers and losses: PyTorch 2.14, transformers 5.12.1, CPU, fp32."""
import json, math, torch
from torch.optim.lr_scheduler import LambdaLR
from transformers.optimization import Adafactor, get_scheduler
from transformers.trainer_pt_utils import LabelSmoother

PEAK, WARMUP, TOTAL = 1e-3, 4, 20

def rates(name, kwargs, warmup=WARMUP):
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=PEAK)
    scheduler = get_scheduler(name, optimizer, warmup, TOTAL, kwargs)
    found = []
    for _ in range(TOTAL + 1):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found

schedules = [dict(type=name, warmup=warmup, kwargs=kwargs, rates=rates(name, kwargs, warmup)) for name, kwargs, warmup in [
    ("linear", {}, 4), ("linear", {}, 0), ("cosine", {}, 4), ("cosine", {"num_cycles": 1.25}, 4),
    ("cosine_with_restarts", {}, 4), ("cosine_with_restarts", {"num_cycles": 3}, 4),
    ("polynomial", {}, 4), ("polynomial", {"power": 2.0, "lr_end": 1e-5}, 4),
    ("constant", {}, 4), ("constant_with_warmup", {}, 4),
    ("inverse_sqrt", {}, 4), ("inverse_sqrt", {}, 0), ("inverse_sqrt", {"timescale": 9}, 4),
    ("cosine_with_min_lr", {"min_lr": 1e-4}, 4), ("cosine_with_min_lr", {"min_lr_rate": 0.2, "num_cycles": 1.0}, 4),
    ("cosine_warmup_with_min_lr", {"min_lr": 1e-4}, 4), ("cosine_warmup_with_min_lr", {"min_lr_rate": 0.2, "warmup_lr_rate": 0.1}, 4),
    ("warmup_stable_decay", {"num_decay_steps": 8}, 4),
    ("warmup_stable_decay", {"num_decay_steps": 8, "num_stable_steps": 5, "warmup_type": "cosine", "decay_type": "linear", "min_lr_ratio": 0.1}, 4),
    ("warmup_stable_decay", {"num_decay_steps": 6, "warmup_type": "1-sqrt", "decay_type": "1-sqrt"}, 4),
    ("warmup_stable_decay", {"num_decay_steps": 10, "num_cycles": 1.5}, 4),
]]

def plateau(kwargs, metrics):
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=PEAK)
    scheduler = get_scheduler("reduce_lr_on_plateau", optimizer, scheduler_specific_kwargs=kwargs)
    found = []
    for metric in metrics:
        scheduler.step(metric)
        found.append(optimizer.param_groups[0]["lr"])
    return dict(kwargs=kwargs, metrics=metrics, rates=found)

falling = [1.0, 0.8, 0.81, 0.82, 0.79999, 0.9, 0.7, 0.71, 0.72, 0.73, 0.74, 0.75, 0.5, 0.6, 0.6]
plateaus = [
    plateau({"patience": 1}, falling),
    plateau({"patience": 0, "factor": 0.5, "cooldown": 2}, falling),
    plateau({"patience": 0, "factor": 0.5, "min_lr": 2e-4}, falling),
    plateau({"patience": 1, "factor": 0.5, "threshold": 0.05, "threshold_mode": "abs"}, falling),
    plateau({"patience": 1, "factor": 0.5, "mode": "max"}, [0.5, 0.6, 0.6, 0.55, 0.7, 0.69, 0.68, 0.71, 0.7100001, 0.7]),
    plateau({"patience": 0, "factor": 0.1, "eps": 1e-4}, falling),
]

# Weights and gradients that both sides make from the same formula.
def start(shape, phase):
    return torch.cos(0.7 * torch.arange(math.prod(shape), dtype=torch.float64) + phase).to(torch.float32).reshape(shape)

def gradient(shape, step, phase):
    return (0.1 * torch.sin(1.3 * torch.arange(math.prod(shape), dtype=torch.float64) + 0.37 * step * step + phase)).to(torch.float32).reshape(shape)

def trajectory(name, make, weight_decay, lr):
    matrix, vector = torch.nn.Parameter(start((6, 4), 0.0)), torch.nn.Parameter(start((5,), 0.5))
    optimizer = make([{"params": [matrix], "weight_decay": weight_decay}, {"params": [vector], "weight_decay": 0.0}], lr)
    found, norms = [], []
    for step in range(1, 7):
        matrix.grad, vector.grad = gradient((6, 4), step, 0.0), gradient((5,), step, 0.5)
        norms.append(torch.nn.utils.clip_grad_norm_([matrix, vector], 0.25).item())
        for group in optimizer.param_groups:
            group["lr"] = lr / step
        optimizer.step()
        found.append(matrix.flatten().tolist() + vector.tolist())
    return dict(name=name, weight_decay=weight_decay, lr=lr, norms=norms, weights=found)

sgd = lambda **kw: (lambda groups, lr: torch.optim.SGD(groups, lr=lr, **kw))
optimizers = [
    trajectory("adamw_torch", lambda groups, lr: torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.999), eps=1e-8), 0.1, 1e-2),
    trajectory("sgd", sgd(), 0.1, 1e-1),
    trajectory("sgd momentum=0.9", sgd(momentum=0.9), 0.1, 1e-1),
    trajectory("sgd momentum=0.9,dampening=0.5", sgd(momentum=0.9, dampening=0.5), 0.0, 1e-1),
    trajectory("sgd momentum=0.9,nesterov=true", sgd(momentum=0.9, nesterov=True), 0.1, 1e-1),
    trajectory("adafactor", lambda groups, lr: Adafactor(groups, lr=lr, scale_parameter=False, relative_step=False), 0.0, 1e-2),
    trajectory("adafactor", lambda groups, lr: Adafactor(groups, lr=lr, scale_parameter=False, relative_step=False), 0.1, 1e-2),
]

# Losses. logits [rows, classes] by formula; gradients of the mean loss.
def logits_of(rows, classes):
    return (3 * torch.sin(0.9 * torch.arange(rows * classes, dtype=torch.float64))).to(torch.float32).reshape(rows, classes)

def loss_case(name, make, rows=6, classes=4):
    logits = logits_of(rows, classes).requires_grad_()
    loss = make(logits)
    loss.backward()
    return dict(name=name, loss=loss.item(), gradient=logits.grad.flatten().tolist())

labels = torch.tensor([0, 3, 1, 1, 2, 0])
ignored = torch.tensor([0, -100, 1, -100, 2, 3])
class_weights = torch.tensor([0.5, 2.0, 1.5, 3.0])
smoother = LabelSmoother(epsilon=0.2)

def focal(logits, gamma):
    p = torch.softmax(logits, -1).gather(1, labels[:, None]).squeeze(1)
    return (-(1 - p) ** gamma * p.log()).mean()

many = (torch.sin(2.1 * torch.arange(24, dtype=torch.float64)) > 0).to(torch.float32).reshape(6, 4)
def focal_many(logits, gamma):
    p = torch.sigmoid(logits)
    pt = torch.where(many > 0, p, 1 - p)
    return (-(1 - pt) ** gamma * pt.log()).mean()

losses = [
    loss_case("smoothed", lambda l: smoother({"logits": l}, labels)),
    loss_case("smoothed tokens", lambda l: smoother({"logits": l[None]}, ignored[None])),
    loss_case("smoothed causal", lambda l: smoother({"logits": l[None]}, torch.tensor([[-100, 3, 1, -100, 2, 0]]), shift_labels=True)),
    loss_case("class weights", lambda l: torch.nn.functional.cross_entropy(l, labels, weight=class_weights)),
    loss_case("focal 2", lambda l: focal(l, 2.0)),
    loss_case("focal 0.5", lambda l: focal(l, 0.5)),
    loss_case("multi-label focal 2", lambda l: focal_many(l, 2.0)),
]
print(json.dumps(dict(peak=PEAK, total=TOTAL, schedules=schedules, plateaus=plateaus, optimizers=optimizers, many=many.flatten().tolist(), losses=losses)))
