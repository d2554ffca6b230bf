using FineTuneService.Training.Optimization;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests.Optimization;

public sealed class DynamicMapTests : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();

    public static TheoryData<bool> Both => [true, false];

    private static DynamicMap Map(bool signed) => signed ? DynamicMap.Signed : DynamicMap.Unsigned;

    public void Dispose() => _scope.Dispose();

    /// <summary>By hand from the definition (arXiv:1511.04561): the middles of 2ⁱ, or 2ⁱ⁺¹, equal parts of [0.1, 1] in the decade 10ⁱ⁻⁶, i = 0 … 6; and 0 and 1.</summary>
    [Fact]
    public void The_values_are_those_of_the_dynamic_type()
    {
        Assert.All(Both, signed => Assert.Equal(256, Map(signed).Values.Distinct().Count()));
        Assert.All(Both, signed => Assert.Equal(Map(signed).Values.Order(), Map(signed).Values));
        Assert.Equal([0f, 3.25e-7f, 7.75e-7f], DynamicMap.Unsigned.Values.Take(3), IsNear);
        Assert.Equal([1f, 1 - 0.9f / 256, 1 - 0.9f / 256 * 3], DynamicMap.Unsigned.Values.Reverse().Take(3), IsNear);
        Assert.Equal([-5.5e-7f, 0f, 5.5e-7f], DynamicMap.Signed.Values.Skip(DynamicMap.Signed.Zero - 1).Take(3), IsNear);
        Assert.Equal([1f, 1 - 0.9f / 128], DynamicMap.Signed.Values.Reverse().Take(2), IsNear);
        Assert.Equal(DynamicMap.Signed.Values[0], -DynamicMap.Signed.Values[^2]);
    }

    [Theory]
    [MemberData(nameof(Both))]
    public void What_was_quantised_is_quantised_to_itself(bool signed)
    {
        var values = tensor(Map(signed).Values.ToArray()).repeat(3) * 0.37f;
        var (codes, magnitudes) = Map(signed).Quantize(values);
        var back = Map(signed).Dequantize(codes, magnitudes);
        Assert.Equal(values, back);
        Assert.Equal(codes, Map(signed).Quantize(back).Codes);
    }

    [Theory]
    [MemberData(nameof(Both))]
    public void The_nearest_value_is_taken_in_blocks_of_256(bool signed)
    {
        // 600 values: two whole blocks of very different size, and the beginning of a third.
        var values = Goldens.Formula([600], i => (signed ? Math.Sin(0.7 * i) : Math.Pow(Math.Sin(0.7 * i), 2)) * Math.Pow(10, -3 * (i / 256)));
        var (codes, magnitudes) = Map(signed).Quantize(values);
        Assert.Equal((600, 3), (codes.numel(), magnitudes.numel()));

        var given = values.data<float>().ToArray();
        var back = Map(signed).Dequantize(codes, magnitudes).data<float>().ToArray();
        for (var i = 0; i < given.Length; i++)
        {
            var largest = given.Skip(i / 256 * 256).Take(256).Max(Math.Abs);
            var nearest = Map(signed).Values.Min(value => Math.Abs(value * largest - given[i]));
            Assert.Equal(nearest, Math.Abs(back[i] - given[i]), 1e-7 * largest);
        }
    }

    [Fact]
    public void A_value_too_small_for_its_block_keeps_its_sign()
    {
        var (codes, magnitudes) = DynamicMap.Signed.Quantize(tensor(new[] { 1f, -1e-9f, 1e-9f, 0f }));
        Assert.Equal([1f, -5.5e-7f, 0f, 0f], DynamicMap.Signed.Dequantize(codes, magnitudes).data<float>().ToArray(), IsNear);
    }

    private static bool IsNear(float expected, float actual) => Math.Abs(expected - actual) <= 1e-6 * Math.Abs(expected);
}
