using static TorchSharp.torch;

namespace FineTuneService.Training.Optimization;

/// <summary>
/// By what the loss is multiplied before its gradients are computed in fp16, which would round small ones to 0 (Micikevicius et al. 2017, arXiv:1710.03740).
/// The rules of <c>torch.amp.GradScaler</c>: after a step with an overflow, which is skipped, half of it; after 2000 steps without, twice as much. Always a power of two, so that nothing is rounded.
/// </summary>
public sealed class LossScale
{
    private const double Initial = 65_536, Growth = 2, Backoff = 0.5;
    private const int GrowthInterval = 2000;

    private readonly Tensor _scale = tensor(Initial).DetachFromDisposeScope();
    private readonly Tensor _sinceOverflow = zeros([], ScalarType.Int64).DetachFromDisposeScope(), _skipped = zeros([], ScalarType.Int64).DetachFromDisposeScope();

    public double Value => _scale.ToDouble();

    /// <summary>Steps that were skipped, in the whole run.</summary>
    public long Skipped => _skipped.ToInt64();

    /// <summary>For a checkpoint.</summary>
    public IEnumerable<(string Name, Tensor Tensor)> State => [("loss_scale.scale", _scale), ("loss_scale.since_overflow", _sinceOverflow), ("loss_scale.skipped", _skipped)];

    public void Update(bool overflow)
    {
        if (overflow)
        {
            _scale.mul_(Backoff);
            _sinceOverflow.zero_();
            _skipped.add_(1);
        }
        else if (_sinceOverflow.add_(1).ToInt64() == GrowthInterval)
        {
            _scale.mul_(Growth);
            _sinceOverflow.zero_();
        }
    }
}
