using FineTuneService.Training.Generation;
using TorchSharp;

namespace FineTuneService.Training.Tests.Generation;

/// <summary>The numbers are those of the logits processors of transformers 5.12.1.</summary>
public sealed class TokenSamplerTests
{
    private static readonly int[] Seen = [3, 7, 3, 11];

    private static torch.Tensor Logits => torch.tensor(Enumerable.Range(0, 24).Select(i => i * 37 % 23 / 4f - 2.5f).ToArray());

    [Fact]
    public void Repetition_is_penalized_once_a_token_whatever_its_sign()
    {
        using var generator = new torch.Generator(0);
        var scores = new TokenSampler(new() { RepetitionPenalty = 1.7 }, generator).Penalize(Logits, Seen).data<float>().ToArray();

        Assert.Equal(1.323529, scores[3], 5);
        Assert.Equal(-1.7, scores[7], 5);
        Assert.Equal(0.882353, scores[11], 5);
        Assert.Equal([-2.5f, 1f, -1.25f], scores[..3]);
    }

    public static TheoryData<GenerationSettings, Dictionary<int, double>> Filters => new()
    {
        { new() { Temperature = 0.7, TopK = 5 }, new() { [3] = 0.123591, [8] = 0.176642, [13] = 0.252463, [18] = 0.36083, [21] = 0.086473 } },
        { new() { TopK = 0, TopP = 0.8 }, new() { [3] = 0.126463, [8] = 0.162382, [11] = 0.059737, [13] = 0.208502, [16] = 0.076704, [18] = 0.267722, [21] = 0.09849 } },
        { new() { TopK = 0, MinP = 0.2 }, new() { [3] = 0.126463, [8] = 0.162382, [11] = 0.059737, [13] = 0.208502, [16] = 0.076704, [18] = 0.267722, [21] = 0.09849 } },
        { new() { RepetitionPenalty = 1.7, Temperature = 1.3, TopK = 8, TopP = 0.7, MinP = 0.3 }, new() { [8] = 0.229263, [13] = 0.277877, [18] = 0.336798, [21] = 0.156062 } },
    };

    [Theory]
    [MemberData(nameof(Filters))]
    public void What_is_drawn_from_is_what_transformers_draws_from(GenerationSettings settings, Dictionary<int, double> expected)
    {
        using var generator = new torch.Generator(0);
        var probabilities = new TokenSampler(settings, generator).Probabilities(Logits, Seen).data<float>().ToArray();

        for (var id = 0; id < probabilities.Length; id++)
            Assert.Equal(expected.GetValueOrDefault(id), probabilities[id], 5);
    }

    [Fact]
    public void Draws_follow_the_probabilities()
    {
        using var generator = new torch.Generator(3);
        var sampler = new TokenSampler(new() { DoSample = true, Temperature = 0.7, TopK = 5 }, generator);
        var logits = Logits;
        var drawn = Enumerable.Range(0, 4000).Select(_ => sampler.Next(logits, Seen)).CountBy(id => id).ToDictionary();

        Assert.Equal([3, 8, 13, 18, 21], drawn.Keys.Order());
        Assert.InRange(drawn[18] / 4000.0, 0.36083 - 0.03, 0.36083 + 0.03);
        Assert.InRange(drawn[21] / 4000.0, 0.086473 - 0.02, 0.086473 + 0.02);
    }
}
