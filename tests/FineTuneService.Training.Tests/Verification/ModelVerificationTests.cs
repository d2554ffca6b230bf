using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tasks;
using FineTuneService.Training.Verification;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests.Verification;

public sealed class ModelVerificationTests
{
    private static string[] Folders => Directory.GetDirectories(Path.Combine(AppContext.BaseDirectory, "Fixtures", "models"));

    public static TheoryData<string> Cases => [.. Folders.Select(folder => Path.GetFileName(folder)!)];

    public static TheoryData<string> Models => [.. Folders.Where(folder => !AdapterFolder.Is(folder)).Select(folder => Path.GetFileName(folder)!)];

    /// <summary>Forward, gradients, a greedy text, twenty steps and five accumulated steps equal those of PyTorch and transformers.</summary>
    [Theory]
    [MemberData(nameof(Cases))]
    public void This_machine_computes_what_the_reference_computes(string golden) =>
        Assert.All(ModelVerification.Run(At(golden)), check => Assert.True(check.Passed, $"{check.Name}: error {check.Error:E2}, allowed {check.Tolerance:E0}"));

    /// <summary>bf16 keeps eight bits of a number: a product of weights and hidden states is right to some thousandths, and a few layers add up.</summary>
    [Theory]
    [MemberData(nameof(Models))]
    public void In_bf16_a_model_stays_near_itself(string golden)
    {
        using var scope = NewDisposeScope();
        var reference = GoldenCase.Read(At(golden));
        var config = PretrainedConfig.Read(At(golden));
        using var model = config.Create(reference.Head);
        PretrainedFolder.LoadWeights(At(golden), model, seed: 0);
        model.eval();
        var batch = reference.Batches[0].ToBatch(reference.Head, config.ProblemType ?? ProblemType.SingleLabelClassification);
        var exact = Logits();

        model.ComputeIn(ScalarType.BFloat16);
        var rounded = Logits();

        Assert.InRange(((rounded - exact).norm() / exact.norm()).ToDouble(), 1e-4, 0.05);

        Tensor Logits()
        {
            using var _ = no_grad();
            return model.call(batch.Inputs).to(ScalarType.Float32);
        }
    }

    private static string At(string golden) => Path.Combine(AppContext.BaseDirectory, "Fixtures", "models", golden);
}
