using FineTuneService.Training.Native;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models.Layers;

/// <summary>
/// A leaf with one matrix, <c>[out, in]</c>, to which a method can attach a low-rank update (<see cref="LoraUpdate"/>).
/// This is all that methods know of a model: which leaves it has, and their names.
/// </summary>
public abstract class AdaptableLayer(string name) : Module<Tensor, Tensor>(name)
{
    public LoraUpdate? Update { get; private set; }

    public abstract long InFeatures { get; }

    public abstract long OutFeatures { get; }

    /// <summary>A view of the weight as <c>[out, in]</c>, whichever way it is stored.</summary>
    internal abstract Tensor Matrix { get; }

    internal abstract Tensor? Bias { get; }

    /// <summary>The frozen weight in four bits, once <see cref="Quantize"/> was called.</summary>
    public Nf4Matrix? Quantized { get; private set; }

    public virtual bool CanQuantize => false;

    /// <summary>Type in which a quantised weight is multiplied; null: that of its input.</summary>
    protected ScalarType? ComputeType { get; private set; }

    /// <summary>PEFT's <c>fan_in_fan_out</c>: the weight lies as <c>[in, out]</c>.</summary>
    internal virtual bool IsStoredInByOut => false;

    /// <summary>PEFT's names of the two factors of an update.</summary>
    internal virtual (string A, string B) FactorNames => ("lora_A", "lora_B");

    public sealed override Tensor forward(Tensor input)
    {
        var result = Base(input);
        return Update is { IsEnabled: true } update ? update.AddTo(result, input) : result;
    }

    /// <summary>Adds an update that changes nothing yet: one of its factors is 0.</summary>
    public void Attach(int rank, double scaling, double dropout, bool dora, Generator generator)
    {
        if (Update is not null)
            throw new InvalidOperationException("The layer has an update already.");
        Update = new LoraUpdate(this, rank, scaling, dropout, dora, generator);
        foreach (var (name, factor) in Update.Factors)
            register_module(name, factor);
    }

    /// <summary>Puts a packed matrix, <c>[out, in]</c>, in place of the weight, which is gone with its memory.</summary>
    public void Quantize(Nf4Matrix matrix, ScalarType? computeType)
    {
        var weight = get_parameter("weight");
        ConditionallyRegisterParameter("weight", (TorchSharp.Modules.Parameter?)null);
        weight?.Dispose();
        (Quantized, ComputeType) = (matrix, computeType);
        register_module("quantized", matrix);
        HostMemory.GiveBack(); // Kept, the matrices that were read would add up to the whole model.
    }

    /// <summary>A stored weight as <c>[out, in]</c>.</summary>
    internal Tensor AsOutByIn(Tensor stored) => IsStoredInByOut ? stored.t() : stored;

    /// <summary>Takes the update away, as if there had never been one; what was merged stays merged.</summary>
    public void Detach()
    {
        foreach (var (name, factor) in Update?.Factors ?? [])
        {
            register_module(name, null!); // TorchSharp's way to remove one.
            factor.Dispose();
        }
        Update = null;
    }

    /// <summary>The layer as it was before anything was attached to it.</summary>
    protected abstract Tensor Base(Tensor input);

    /// <summary><see cref="Base"/> without the bias.</summary>
    internal abstract Tensor Multiply(Tensor input);

    /// <summary>The same with the product of two small matrices in place of the weight.</summary>
    /// <param name="a"><c>[r, in]</c>.</param>
    /// <param name="b"><c>[out, r]</c>.</param>
    internal virtual Tensor Multiply(Tensor input, Tensor a, Tensor b) => functional.linear(functional.linear(input, a), b);

    internal virtual Tensor Drop(Tensor input, double dropout) => FastDropout.Of(input, dropout, training);

    /// <summary>As loralib: the first factor like the weight of a fresh linear layer, that is kaiming_uniform with a = √5, the second 0.</summary>
    internal virtual void Initialize(Tensor a, Tensor b, Generator generator)
    {
        var bound = 1 / Math.Sqrt(InFeatures);
        a.uniform_(-bound, bound, generator);
        b.zero_();
    }
}
