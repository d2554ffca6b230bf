using FineTuneService.Training.Models.Layers;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Optimization;

/// <summary>bitsandbytes' block-wise quantisation to 8 bits: each value is the nearest of 256, times the largest magnitude of its block.</summary>
public sealed class DynamicMap
{
    public const int BlockSize = 256;

    private readonly float[] _values, _midpoints;

    private DynamicMap(float[] values)
    {
        _values = values;
        _midpoints = [.. values.Zip(values.Skip(1), (low, high) => (low + high) / 2)];
        Zero = Array.IndexOf(values, 0f);
        // As bitsandbytes' kernel: what would be rounded to a value of the other sign takes the next on its own side; 0 counts as positive.
        if (Zero > 0)
            _midpoints[Zero - 1] = -Nf4Codes.LeastMagnitude;
    }

    /// <summary>For values on both sides of 0.</summary>
    public static DynamicMap Signed { get; } = new(Nf4Codes.Dynamic);

    /// <summary>For values from 0 on: twice as many steps.</summary>
    public static DynamicMap Unsigned { get; } = new(Nf4Codes.DynamicUnsigned);

    /// <summary>The 256 values, rising, between −1 or 0 and 1.</summary>
    public IReadOnlyList<float> Values => _values;

    /// <summary>A number has the code of how many of these are less than it.</summary>
    internal IReadOnlyList<float> Midpoints => _midpoints;

    /// <summary>The code of 0.</summary>
    public int Zero { get; }

    public static long Blocks(long count) => (count + BlockSize - 1) / BlockSize;

    /// <param name="values">fp32, of any shape.</param>
    /// <returns>A code for each value, <c>[count]</c>, and a magnitude for each block, <c>[blocks]</c>.</returns>
    public (Tensor Codes, Tensor Magnitudes) Quantize(Tensor values)
    {
        var count = values.numel();
        var blocks = functional.pad(values.reshape(-1), [0, -count & (BlockSize - 1)]).view(-1, BlockSize);
        var magnitudes = blocks.abs().amax([1]);
        var scaled = blocks / magnitudes.clamp_min(Nf4Codes.LeastMagnitude).unsqueeze(1);
        var codes = bucketize(scaled, tensor(_midpoints, device: values.device), outInt32: true);
        return (codes.to(ScalarType.Byte).view(-1).narrow(0, 0, count), magnitudes);
    }

    /// <returns><c>[count]</c>, fp32.</returns>
    public Tensor Dequantize(Tensor codes, Tensor magnitudes)
    {
        var values = tensor(_values, device: codes.device).index_select(0, codes.to(ScalarType.Int32));
        return values.mul_(magnitudes.repeat_interleave(BlockSize).narrow(0, 0, codes.numel()));
    }
}
