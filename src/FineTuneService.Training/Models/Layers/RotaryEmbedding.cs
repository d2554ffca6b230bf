using static TorchSharp.torch;

namespace FineTuneService.Training.Models.Layers;

/// <summary>Rotary position embedding (Su et al. 2021, arXiv:2104.09864): queries and keys are turned by angles that grow with the position.</summary>
/// <param name="rope">Valid, see <see cref="RopeParameters.Validate"/>.</param>
/// <param name="headDim">Dimensions of a head.</param>
/// <param name="maxPositions">config.json's <c>max_position_embeddings</c>.</param>
public sealed class RotaryEmbedding(RopeParameters rope, int headDim, int maxPositions)
{
    private readonly int _dim = rope.Dimensions(headDim);
    private readonly int _original = rope.OriginalMaxPositionEmbeddings ?? maxPositions;

    /// <summary>Keys of a text of one length keep their worth in a longer one only where this number is the same for both: some kinds turn differently then.</summary>
    public long Regime(long length) => rope.Kind switch
    {
        "dynamic" => Math.Max(length, maxPositions),
        "longrope" => length > _original ? 1 : 0,
        _ => 0,
    };

    /// <param name="positions"><c>[batch, seq]</c>, int64.</param>
    public Rotation At(Tensor positions)
    {
        using var _ = no_grad();
        var length = rope.Kind is "dynamic" or "longrope" ? positions.max().ToInt64() + 1 : 0;
        var frequencies = tensor(Frequencies(length).Select(value => (float)value).ToArray(), device: positions.device);
        var angles = positions.to(ScalarType.Float32).unsqueeze(-1) * frequencies; // [batch, seq, dim / 2]
        var factor = AttentionFactor;
        return new((cos(angles) * factor).unsqueeze(1), (sin(angles) * factor).unsqueeze(1));
    }

    /// <summary>Radians a position, for each pair of dimensions.</summary>
    public IReadOnlyList<double> Frequencies(long length) => rope.Kind switch
    {
        "linear" => [.. Plain(rope.Theta).Select(frequency => frequency / rope.Factor!.Value)],
        "dynamic" => Dynamic(length),
        "llama3" => Llama3(),
        "yarn" => Yarn(),
        "longrope" => [.. Plain(rope.Theta).Zip(length > _original ? rope.LongFactor! : rope.ShortFactor!, (frequency, factor) => frequency / factor)],
        _ => Plain(rope.Theta),
    };

    /// <summary>By what cosine and sine are stretched, so that scores keep their spread over longer texts.</summary>
    public double AttentionFactor => rope.AttentionFactor ?? rope.Kind switch
    {
        "yarn" when rope is { Mscale: > 0, MscaleAllDim: > 0 } => MagnitudeScale(rope.Mscale.Value) / MagnitudeScale(rope.MscaleAllDim.Value),
        "yarn" => MagnitudeScale(1),
        "longrope" => Extension <= 1 ? 1 : Math.Sqrt(1 + Math.Log(Extension) / Math.Log(_original)),
        _ => 1,
    };

    private double Extension => rope.Factor ?? (double)maxPositions / _original;

    private double[] Plain(double theta) => [.. Enumerable.Range(0, _dim / 2).Select(pair => Math.Pow(theta, -2.0 * pair / _dim))];

    /// <summary>The base grows with the text (NTK-aware scaling).</summary>
    private double[] Dynamic(long length)
    {
        var (factor, reach) = (rope.Factor!.Value, (double)Math.Max(length, maxPositions));
        return Plain(rope.Theta * Math.Pow(factor * reach / maxPositions - (factor - 1), _dim / (_dim - 2.0)));
    }

    /// <summary>Long waves are stretched, short ones kept, those between in between (Llama 3.1).</summary>
    private double[] Llama3()
    {
        var (low, high, factor) = (rope.LowFreqFactor!.Value, rope.HighFreqFactor!.Value, rope.Factor!.Value);
        return [.. Plain(rope.Theta).Select(frequency =>
        {
            var smooth = Math.Clamp((_original * frequency / (2 * Math.PI) - low) / (high - low), 0, 1);
            return (1 - smooth) * frequency / factor + smooth * frequency;
        })];
    }

    /// <summary>A ramp over the dimensions, from kept to stretched (Peng et al. 2023, arXiv:2309.00071).</summary>
    private double[] Yarn()
    {
        var (low, high) = (Turning(rope.BetaFast ?? 32), Turning(rope.BetaSlow ?? 1));
        if (rope.Truncate ?? true)
            (low, high) = (Math.Floor(low), Math.Ceiling(high));
        (low, high) = (Math.Max(low, 0), Math.Min(high, _dim - 1));
        var width = high == low ? 0.001 : high - low;
        return [.. Plain(rope.Theta).Select((frequency, pair) =>
        {
            var stretched = Math.Clamp((pair - low) / width, 0, 1);
            return frequency / Extension * stretched + frequency * (1 - stretched);
        })];

        // The dimension that makes so many turns over the length of pre-training.
        double Turning(double turns) => _dim * Math.Log(_original / (turns * 2 * Math.PI)) / (2 * Math.Log(rope.Theta));
    }

    private double MagnitudeScale(double mscale) => Extension <= 1 ? 1 : 0.1 * mscale * Math.Log(Extension) + 1;
}

/// <summary>The turns of one forward pass: cosines and sines, <c>[batch or 1, 1, seq, dim / 2]</c>.</summary>
public readonly record struct Rotation(Tensor Cos, Tensor Sin)
{
    /// <summary>Turns the first dimensions of each head, in pairs (i, i + dim / 2); the others pass.</summary>
    /// <param name="heads"><c>[batch, heads, seq, head]</c>.</param>
    public Tensor Apply(Tensor heads)
    {
        var half = Cos.size(-1);
        var (cos, sin) = (Cos.to(heads.dtype), Sin.to(heads.dtype));
        var (first, second) = (heads.narrow(-1, 0, half), heads.narrow(-1, half, half));
        Tensor[] turned = [first * cos - second * sin, second * cos + first * sin];
        var passing = heads.size(-1) - 2 * half;
        return cat(passing == 0 ? turned : [.. turned, heads.narrow(-1, 2 * half, passing)], -1);
    }
}
