using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Data;
using FineTuneService.Training.Models;
using FineTuneService.Training.Verification;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests.Models;

/// <summary>The padding is taken out for layers that do not need it: what the model says, and every gradient, is what it would be with the padding in.</summary>
[Collection(GlobalGenerator.Name)]
public sealed class EncoderViewTests
{
    private static readonly string Root = Path.Combine(AppContext.BaseDirectory, "Fixtures", "models");

    public static TheoryData<string> Cases => [.. Directory.GetDirectories(Root).Select(folder => Path.GetFileName(folder)!).Where(name =>
        new[] { "bert-", "deberta-", "distilbert-", "electra-", "modernbert-", "roberta-" }.Any(family => name.StartsWith(family, StringComparison.Ordinal)))];

    [Fact]
    public void There_are_cases() => Assert.True(Cases.Count >= 8);

    [Theory]
    [MemberData(nameof(Cases))]
    public void Rows_without_their_padding_give_the_same_logits_and_gradients(string golden) => Compare(golden, noise: 0);

    [Theory]
    [MemberData(nameof(Cases))]
    public void With_neftunes_noise_too(string golden) => Compare(golden, noise: 5);

    /// <summary>In a narrow window there is padding that has no token within reach.</summary>
    [Fact]
    public void Far_from_every_token_there_are_gradients_with_dropout_too()
    {
        using var scope = NewDisposeScope();
        var config = (ModernBertConfig)PretrainedConfig.Read(Path.Combine(Root, "modernbert-tokencls"));
        using var model = (config with { AttentionDropout = 0.1 }).Create(ModelHead.TokenClassification);
        PretrainedFolder.Initialize(model, seed: 1);

        var (_, gradients) = Run(model, Rows([4, 12, 1, 7], padding: 0));

        Assert.All(gradients, gradient => Assert.True(gradient.Value.isfinite().all().ToBoolean(), gradient.Key));
    }

    private static void Compare(string golden, double noise)
    {
        using var scope = NewDisposeScope();
        var head = GoldenCase.Read(Path.Combine(Root, golden)).Head;
        using var model = PretrainedConfig.Read(Path.Combine(Root, golden)).Create(head);
        PretrainedFolder.LoadWeights(Path.Combine(Root, golden), model, seed: 0);
        model.AddEmbeddingNoise(noise);
        var packed = Rows([4, 12, 1, 7], model.Config.PadTokenId ?? 0);
        Assert.Equal(24, packed.TokenPlaces?.numel());

        var (logits, gradients) = Run(model, packed);
        var (expected, expectedGradients) = Run(model, packed with { TokenPlaces = null });

        Assert.Equal(expected.shape, logits.shape);
        Assert.InRange((logits - expected).abs().max().ToDouble(), 0, 1e-5);
        Assert.Equal(expectedGradients.Keys, gradients.Keys);
        Assert.All(expectedGradients, gradient => Assert.InRange((gradient.Value - gradients[gradient.Key]).abs().max().ToDouble(), 0, 1e-5 * Math.Max(1, gradient.Value.abs().max().ToDouble())));
    }

    [Fact]
    public void Rows_with_little_padding_are_left_alone()
    {
        using var scope = NewDisposeScope();
        Assert.Null(Rows([12, 12, 11, 12], 0).TokenPlaces);
        Assert.Null(Rows([12, 12], 0).AttentionMask);
    }

    [Fact]
    public void A_row_without_a_token_has_no_first_one()
    {
        using var scope = NewDisposeScope();
        Assert.Null(Rows([12, 0, 2], 0).TokenPlaces);
    }

    private static ModelInputs Rows(int[] lengths, int padding)
    {
        var rows = new PaddedRows(lengths.Length, lengths.Max(), padding, withTypes: false);
        for (var row = 0; row < lengths.Length; row++)
            rows.Add(row, [.. Enumerable.Range(5 + row, lengths[row])]);
        return rows.ToInputs();
    }

    private static (Tensor Logits, SortedDictionary<string, Tensor> Gradients) Run(PretrainedModel model, ModelInputs inputs)
    {
        model.train();
        model.zero_grad();
        manual_seed(1);
        var logits = model.call(inputs);
        var mask = inputs.AttentionMask!;
        var real = logits.size(1) != mask.size(1) ? logits : logits * (logits.ndim == 3 ? mask.unsqueeze(-1) : mask); // What stands at padding is nobody's business.
        (real * linspace(-1, 1, real.numel()).reshape(real.shape)).sum().backward();
        return (real.detach(), new(model.named_parameters().Where(entry => entry.parameter.grad is not null).ToDictionary(entry => entry.name, entry => entry.parameter.grad!.clone())));
    }
}
