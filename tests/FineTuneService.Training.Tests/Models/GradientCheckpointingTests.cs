using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Models;
using FineTuneService.Training.Models.Layers;
using FineTuneService.Training.Verification;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests.Models;

[Collection(GlobalGenerator.Name)]
public sealed class GradientCheckpointingTests
{
    private static readonly string Root = Path.Combine(AppContext.BaseDirectory, "Fixtures", "models");

    public static TheoryData<string> Cases => [.. Directory.GetDirectories(Root).Select(folder => Path.GetFileName(folder)!).Where(name => !name.StartsWith("lora-", StringComparison.Ordinal))];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Recomputed_gradients_are_those_of_kept_activations(string golden)
    {
        using var scope = NewDisposeScope();
        var head = GoldenCase.Read(Path.Combine(Root, golden)).Head;
        using var model = PretrainedConfig.Read(Path.Combine(Root, golden)).Create(head);
        PretrainedFolder.LoadWeights(Path.Combine(Root, golden), model, seed: 0);
        var ids = arange(5, 21, dtype: ScalarType.Int64).reshape(2, 8);
        var kept = Gradients(model, ids);

        model.EnableGradientCheckpointing();
        var recomputed = Gradients(model, ids);

        Assert.Equal(kept.Count, recomputed.Count);
        Assert.All(kept, gradient => Assert.InRange((gradient.Value - recomputed[gradient.Key]).abs().max().ToDouble(), 0, 1e-5 * Math.Max(1, gradient.Value.abs().max().ToDouble())));
    }

    [Fact]
    public void Dropout_repeats_in_the_backward_pass_and_varies_between_blocks_and_passes()
    {
        using var scope = NewDisposeScope();
        using var blocks = new BlockList<Dropout>(nn.Dropout(0.5), nn.Dropout(0.5)) { GradientCheckpointing = true };
        var input = full([1, 8, 64], 3.0, requires_grad: true);

        var first = blocks.Run(input, (block, hidden) => block.call(hidden));
        var second = blocks.Run(input, (block, hidden) => block.call(hidden));
        first.sum().backward();

        Assert.Equal(first, input.grad! * 3); // What passed is what the gradient passes: factor 4, 2 or 0.
        Assert.NotEqual(first, second);
        Assert.InRange(first.ne(0).to(ScalarType.Float32).mean().ToDouble(), 0.15, 0.35); // The same mask twice would leave half.
    }

    [Fact]
    public void Activations_are_not_kept()
    {
        using var scope = NewDisposeScope();
        using var block = new BlockList<Identity>([.. Enumerable.Range(0, 8).Select(_ => nn.Identity())]);
        var input = ones([1, 256, 1024], requires_grad: true);
        var blocks = 0;

        block.GradientCheckpointing = true;
        var output = block.Run(input, (_, hidden) =>
        {
            blocks++;
            return hidden.exp().log().exp().log();
        });
        output.sum().backward();

        Assert.Equal(16, blocks); // each forward, and once more for its gradient
        Assert.InRange((input.grad! - 1).abs().max().ToDouble(), 0, 1e-4);
    }

    private static Dictionary<string, Tensor> Gradients(PretrainedModel model, Tensor ids)
    {
        model.train();
        model.zero_grad();
        manual_seed(7);
        // A weight of its own for each logit, or the classes' gradients would cancel.
        var logits = model.call(new ModelInputs(ids));
        (logits * linspace(-1, 1, logits.numel()).reshape(logits.shape)).sum().backward();
        return model.named_parameters().Where(entry => entry.parameter.grad is not null).ToDictionary(entry => entry.name, entry => entry.parameter.grad!.clone());
    }
}
