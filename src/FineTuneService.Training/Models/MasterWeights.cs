using static TorchSharp.torch;

namespace FineTuneService.Training.Models;

/// <summary>
/// Trained weights in full precision, while the model computes with copies in a shorter type (Micikevicius et al. 2017, arXiv:1710.03740):
/// small updates are not rounded away, and each weight is rounded once a step, not at every use.
/// </summary>
public sealed class MasterWeights : IDisposable
{
    private readonly Dictionary<string, (Tensor Exact, TorchSharp.Modules.Parameter Copy)> _weights;

    private MasterWeights(Dictionary<string, (Tensor, TorchSharp.Modules.Parameter)> weights) => _weights = weights;

    /// <summary>Sets the whole model to <paramref name="type"/>, what is frozen included.</summary>
    /// <param name="keepFrozen">Whether what is not trained is kept in full precision as well.</param>
    internal static MasterWeights Shorten(PretrainedModel model, ScalarType type, bool keepFrozen)
    {
        using var _ = no_grad();
        var exact = model.named_parameters().Where(entry => keepFrozen || entry.parameter.requires_grad)
            .ToDictionary(entry => entry.name, entry => Exact(entry.parameter));
        model.to(type);
        var copies = model.named_parameters().ToDictionary(entry => entry.name, entry => entry.parameter);
        return new(exact.ToDictionary(entry => entry.Key, entry => (entry.Value, copies[entry.Key])));

        static Tensor Exact(Tensor weight)
        {
            using var detached = weight.detach(); // It holds the memory of a weight that is about to be shortened.
            return detached.to(ScalarType.Float32, copy: true).DetachFromDisposeScope();
        }
    }

    /// <summary>The weight itself where <paramref name="copy"/> is a copy of it, else <paramref name="copy"/>, which is all there is.</summary>
    public Tensor Exact(string name, Tensor copy) => _weights.TryGetValue(name, out var weight) ? weight.Exact : copy;

    /// <summary>Makes the copies anew, after the weights have changed.</summary>
    public void Refresh()
    {
        using var _ = no_grad();
        foreach (var (exact, copy) in _weights.Values)
            copy.copy_(exact);
    }

    public void Dispose()
    {
        foreach (var (exact, _) in _weights.Values)
            exact.Dispose();
    }
}
