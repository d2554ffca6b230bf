using FineTuneService.Training.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace FineTuneService.Training.Optimization;

/// <summary>
/// AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) over all parameters in one fused kernel.
/// Weight decay spares vectors, that is biases and norm weights, as transformers' Trainer does.
/// </summary>
public sealed class AdamW : IDisposable
{
    private readonly Slot[] _slots;
    private readonly double _beta1, _beta2, _epsilon, _weightDecay;

    public AdamW(IEnumerable<(string Name, Parameter Parameter)> parameters, double weightDecay, double beta1 = 0.9, double beta2 = 0.999, double epsilon = 1e-8)
    {
        (_weightDecay, _beta1, _beta2, _epsilon) = (weightDecay, beta1, beta2, epsilon);
        _slots = [.. parameters.Where(entry => entry.Parameter.requires_grad).Select(entry => new Slot(entry.Name, entry.Parameter))];
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

    /// <summary>Clips the gradients to <paramref name="maxGradNorm"/> (0: no clipping), updates the parameters and clears the gradients.</summary>
    /// <returns>The norm of all gradients before clipping: a scalar that has not been waited for.</returns>
    public Tensor Step(double learningRate, double maxGradNorm)
    {
        using var _ = no_grad();
        var active = _slots.Where(slot => slot.Parameter.grad is not null).ToArray();
        Tensor[] gradients = [.. active.Select(slot => slot.Parameter.grad!)];
        var norm = TorchScript.GlobalNorm(gradients);
        if (maxGradNorm > 0)
            TorchScript.Scale(gradients, (maxGradNorm / (norm + 1e-6)).clamp_(max: 1)); // torch.nn.utils.clip_grad_norm_
        foreach (var group in active.Zip(gradients).GroupBy(entry => entry.First.Decays))
        {
            Slot[] slots = [.. group.Select(entry => entry.First)];
            TorchScript.AdamW(
                [.. slots.Select(slot => slot.Parameter)],
                [.. group.Select(entry => entry.Second)],
                [.. slots.Select(slot => slot.ExpAvg)],
                [.. slots.Select(slot => slot.ExpAvgSq)],
                [.. slots.Select(slot => slot.Step)],
                learningRate, _beta1, _beta2, group.Key ? _weightDecay : 0, _epsilon);
        }
        foreach (var slot in active)
            slot.Parameter.grad = null;
        return norm;
    }

    public void Dispose()
    {
        foreach (var (_, tensor) in State)
            tensor.Dispose();
    }

    private sealed class Slot(string name, Parameter parameter)
    {
        public string Name => name;
        public Parameter Parameter => parameter;
        public bool Decays { get; } = parameter.ndim >= 2;
        public Tensor ExpAvg { get; } = zeros_like(parameter).detach().DetachFromDisposeScope();
        public Tensor ExpAvgSq { get; } = zeros_like(parameter).detach().DetachFromDisposeScope();
        public Tensor Step { get; } = zeros([], device: parameter.device).DetachFromDisposeScope();
    }
}
