"""Writes golden.json beside it: calibration and paired tests by numpy, scipy and scikit-learn, on numbers drawn here."""
import json, sys
import numpy as np, scipy, sklearn
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax, expit
from scipy.stats import binomtest, bootstrap
from sklearn.metrics import brier_score_loss, f1_score, precision_recall_fscore_support, precision_recall_curve

random = np.random.default_rng(7)
BINS = 15


def ece_of(bins):
    total = sum(len(c) for c, _ in bins)
    return float(sum(len(c) * abs(c.mean() - h.mean()) for c, h in bins if len(c)) / total)


def ece(confidence, hit):
    edges = np.linspace(0, 1, BINS + 1)
    place = np.clip(np.digitize(confidence, edges, right=True) - 1, 0, BINS - 1)
    width = [(confidence[place == b], hit[place == b]) for b in range(BINS)]
    order = np.argsort(confidence, kind='stable')
    mass = [(confidence[part], hit[part]) for part in np.array_split(order, BINS)]
    return ece_of(width), ece_of(mass), [len(c) for c, _ in width if len(c)]


def best_threshold(truth, score):
    precision, recall, thresholds = precision_recall_curve(truth, score)
    f1 = 2 * precision[:-1] * recall[:-1] / np.maximum(precision[:-1] + recall[:-1], 1e-300)
    best = np.flatnonzero(np.isclose(f1, f1.max(), rtol=0, atol=1e-12))[-1]
    return float(thresholds[best]), float(f1[best])


def single(rows, classes, sharpness):
    truth = random.integers(0, classes, rows)
    logits = random.normal(0, 1, (rows, classes))
    logits[np.arange(rows), truth] += 1.2
    logits = np.round(logits * sharpness, 3)
    nll = lambda t: float(-log_softmax(logits / t, axis=1)[np.arange(rows), truth].mean())
    t = float(minimize_scalar(lambda u: nll(np.exp(u)), bounds=(np.log(.05), np.log(20)), method='bounded', options={'xatol': 1e-12}).x)
    t = float(np.exp(t))

    def quality(temperature):
        p = softmax(logits / temperature, axis=1)
        width, mass, counts = ece(p.max(1), (p.argmax(1) == truth).astype(float))
        return {'nll': nll(temperature), 'brier': float(((p - np.eye(classes)[truth]) ** 2).sum(1).mean()), 'ece': width, 'ece_equal_mass': mass, 'counts': counts}
    p = softmax(logits / t, axis=1)
    precision, recall, f1, support = precision_recall_fscore_support(truth, p.argmax(1), labels=range(classes), zero_division=0)
    confidence, right = p.max(1), p.argmax(1) == truth
    curve = [[float(least), float((confidence >= least).mean()), float(right[confidence >= least].mean())] for least in np.quantile(confidence, [0, .25, .5, .9], method='higher')]
    return {'logits': logits.tolist(), 'targets': truth.tolist(), 'temperature': t, 'uncalibrated': quality(1), 'calibrated': quality(t),
            'precision': precision.tolist(), 'recall': recall.tolist(), 'f1': f1.tolist(), 'support': support.tolist(),
            'thresholds': [best_threshold(truth == k, p[:, k]) for k in range(classes)], 'abstain': curve,
            'surest_mistake': int(np.argmax(np.where(right, -1, confidence)))}


def multi(rows, classes, sharpness):
    truth = (random.random((rows, classes)) < .4).astype(int)
    logits = np.round((random.normal(0, 1, (rows, classes)) + 1.5 * (truth - .5)) * sharpness, 3)
    bce = lambda t: float((np.logaddexp(0, logits / t) - truth * logits / t).mean())
    t = float(np.exp(minimize_scalar(lambda u: bce(np.exp(u)), bounds=(np.log(.05), np.log(20)), method='bounded', options={'xatol': 1e-12}).x))

    def quality(temperature):
        p = expit(logits / temperature)
        width, mass, counts = ece(p.ravel(), truth.ravel().astype(float))
        return {'nll': bce(temperature), 'brier': float(sum(brier_score_loss(truth[:, k], p[:, k]) for k in range(classes))), 'ece': width, 'ece_equal_mass': mass, 'counts': counts}
    p = expit(logits / t)
    return {'logits': logits.tolist(), 'targets': truth.tolist(), 'temperature': t, 'uncalibrated': quality(1), 'calibrated': quality(t),
            'thresholds': [best_threshold(truth[:, k], p[:, k]) for k in range(classes)]}


def paired(rows, classes, second):
    truth = random.integers(0, classes, rows)
    guess = lambda right: np.where(random.random(rows) < right, truth, random.integers(0, classes, rows))
    a, b = guess(.7), guess(second)
    only_a, only_b = int(((a == truth) & (b != truth)).sum()), int(((a != truth) & (b == truth)).sum())
    f1 = lambda i: f1_score(truth[i], b[i], average='macro', labels=range(classes)) - f1_score(truth[i], a[i], average='macro', labels=range(classes))
    every = np.arange(rows)
    hits = (b == truth).astype(float) - (a == truth)
    interval = lambda data, statistic, n: list(map(float, bootstrap((data,), statistic, n_resamples=n, method='percentile', vectorized=False, random_state=1).confidence_interval))
    return {'truth': truth.tolist(), 'first': a.tolist(), 'second': b.tolist(), 'only_first': only_a, 'only_second': only_b,
            'p_value': float(binomtest(min(only_a, only_b), only_a + only_b, .5).pvalue),
            'accuracy': float(hits.mean()), 'accuracy_interval': interval(hits, np.mean, 20000), 'f1_macro': float(f1(every)), 'f1_interval': interval(every, lambda i: f1(i.astype(int)), 2000)}


golden = {
    'maker': f'python {sys.version.split()[0]}, numpy {np.__version__}, scipy {scipy.__version__}, scikit-learn {sklearn.__version__}',
    'single': {'too_sure': single(200, 4, 3.0), 'too_doubtful': single(150, 3, .4), 'two_classes': single(120, 2, 2.0)},
    'multi': {'too_sure': multi(100, 3, 3.0)},
    'paired': {'near': paired(300, 4, .72), 'apart': paired(300, 4, .9)},
    'mcnemar': [[a, b, float(binomtest(min(a, b), a + b, .5).pvalue) if a + b else 1.0] for a, b in [(0, 0), (1, 0), (5, 5), (3, 12), (40, 70), (2000, 2210), (0, 1500)]],
}
json.dump(golden, open(__file__.replace('.py', '.json'), 'w'), separators=(',', ':'))
