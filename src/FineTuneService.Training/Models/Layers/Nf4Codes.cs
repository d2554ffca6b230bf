namespace FineTuneService.Training.Models.Layers;

/// <summary>The values that codes stand for, rising.</summary>
internal static class Nf4Codes
{
    /// <summary>The 16 values of NormalFloat, between quantiles of N(0, 1) (QLoRA, appendix E).</summary>
    public static readonly float[] NormalFloat =
    [
        -1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f, -0.28444138169288635f, -0.18477343022823334f, -0.09105003625154495f, 0.0f,
        0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f, 0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f,
    ];

    /// <summary>What the values of a block are divided by at least: it may hold nothing but 0.</summary>
    public const float LeastMagnitude = 1e-38f;

    /// <summary>The 256 values of the dynamic 8-bit type (Dettmers 2016, arXiv:1511.04561): for each decade from 10⁻⁶ on twice as many steps, on both sides of 0.</summary>
    public static readonly float[] Dynamic = [.. DynamicValues(signed: true).Order()];

    /// <summary>The same on one side of 0 only, with twice as many steps.</summary>
    public static readonly float[] DynamicUnsigned = [.. DynamicValues(signed: false).Order()];

    private static IEnumerable<float> DynamicValues(bool signed)
    {
        const int Exponents = 7;
        for (var exponent = 0; exponent < Exponents; exponent++)
        {
            var steps = (signed ? 1 : 2) << exponent;
            var decade = Math.Pow(10, exponent - (Exponents - 1));
            for (var step = 0; step < steps; step++)
            {
                var middle = (Bound(step) + Bound(step + 1)) / 2;
                yield return (float)(decade * middle);
                if (signed)
                    yield return (float)(-decade * middle);
            }

            // torch.linspace counts from the nearer end.
            float Bound(int index) => index < (steps + 1) / 2 ? 0.1f + 0.9f / steps * index : 1f - 0.9f / steps * (steps - index);
        }
        yield return 0;
        yield return 1;
    }
}
