using FineTuneService.Training.Models;
using FineTuneService.Training.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace FineTuneService.Training.Optimization;

/// <summary>
/// AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) over all trained parameters of a model in one fused kernel.
/// Weight decay spares vectors, that is biases and norm weights, as transformers' Trainer does.
/// </summary>
public sealed class AdamW : IDisposable
{
    private readonly Slot[] _slots;
    private readonly MasterWeights? _masters;
    private readonly double _beta1, _beta2, _epsilon, _weightDecay;

    public AdamW(PretrainedModel model, double weightDecay, double beta1 = 0.9, double beta2 = 0.999, double epsilon = 1e-8)
    {
        (_masters, _weightDecay, _beta1, _beta2, _epsilon) = (model.Masters, weightDecay, beta1, beta2, epsilon);
        _slots = [.. model.named_parameters().Where(entry => entry.parameter.requires_grad).Select(entry => new Slot(entry.name, entry.parameter, _masters))];
    }

    /// <summary>Everything a resumed run needs: <c>exp_avg.NAME</c>, <c>exp_avg_sq.NAME</c> and <c>step.NAME</c> per parameter.</summary>
    public IEnumerable<(string Name, Tensor Tensor)> State =>
        from slot in _slots
        from entry in new[] { ("exp_avg." + slot.Name, slot.ExpAvg), ("exp_avg_sq." + slot.Name, slot.ExpAvgSq), ("step." + slot.Name, slot.Step) }
        select entry;

    /// <summary>Sets the state of <see cref="State"/> from tensors by name.</summary>
    public void LoadState(Func<string, Tensor> read)
    {
        using var _ = no_grad();
        foreach (var (name, tensor) in State)
            tensor.copy_(read(name));
    }

    /// <summary>After each backward pass: adds the gradients up in the precision of training.</summary>
    public void Collect()
    {
        if (_masters is null)
            return; // autograd adds them up in the parameters, in that precision
        foreach (var slot in _slots)
            slot.Collect();
    }

    /// <summary>Clips the gradients to <paramref name="maxGradNorm"/> (0: no clipping), updates the parameters and clears the gradients.</summary>
    /// <returns>The norm of all gradients before clipping: a scalar that has not been waited for.</returns>
    public Tensor Step(double learningRate, double maxGradNorm)
    {
        using var _ = no_grad();
        var active = _slots.Where(slot => slot.Gradient is not null).ToArray();
        Tensor[] gradients = [.. active.Select(slot => slot.Gradient!)];
        var norm = TorchScript.GlobalNorm(gradients);
        var isInfinite = norm.isfinite().logical_not().to(ScalarType.Float32); // 1: nothing is updated, and no device was waited for
        if (maxGradNorm > 0)
            TorchScript.Scale(gradients, (maxGradNorm / (norm + 1e-6)).clamp_(max: 1)); // torch.nn.utils.clip_grad_norm_
        foreach (var group in active.Zip(gradients).GroupBy(entry => entry.First.Decays))
        {
            Slot[] slots = [.. group.Select(entry => entry.First)];
            TorchScript.AdamW(
                [.. slots.Select(slot => slot.Weight)],
                [.. group.Select(entry => entry.Second)],
                [.. slots.Select(slot => slot.ExpAvg)],
                [.. slots.Select(slot => slot.ExpAvgSq)],
                [.. slots.Select(slot => slot.Step)],
                isInfinite,
                learningRate, _beta1, _beta2, group.Key ? _weightDecay : 0, _epsilon);
        }
        foreach (var slot in active)
            slot.Gradient = null;
        _masters?.Refresh();
        return norm;
    }

    public void Dispose()
    {
        foreach (var (_, tensor) in State)
            tensor.Dispose();
    }

    private sealed class Slot(string name, Parameter parameter, MasterWeights? masters)
    {
        private Tensor? _collected;

        public string Name => name;

        /// <summary>What is updated: the parameter, or the weight that it is a copy of.</summary>
        public Tensor Weight { get; } = masters?.Exact(name, parameter) ?? parameter;
        public bool Decays { get; } = parameter.ndim >= 2;
        public Tensor ExpAvg { get; } = zeros_like(parameter, ScalarType.Float32).detach().DetachFromDisposeScope();
        public Tensor ExpAvgSq { get; } = zeros_like(parameter, ScalarType.Float32).detach().DetachFromDisposeScope();
        public Tensor Step { get; } = zeros([], device: parameter.device).DetachFromDisposeScope();

        public Tensor? Gradient
        {
            get => masters is null ? parameter.grad : _collected;
            set
            {
                if (masters is null)
                {
                    parameter.grad = value;
                    return;
                }
                _collected?.Dispose();
                _collected = value;
            }
        }

        public void Collect()
        {
            if (parameter.grad is not { } gradient)
                return;
            if (_collected is null)
                _collected = gradient.to(ScalarType.Float32).DetachFromDisposeScope();
            else
                _collected.add_(gradient);
            parameter.grad = null;
        }
    }
}
