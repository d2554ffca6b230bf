using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tasks;
using FineTuneService.Training.Verification;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests.Checkpoints;

public sealed class ExportVerificationTests : IDisposable
{
    private static readonly string Base = Path.Combine(AppContext.BaseDirectory, "Fixtures", "models", "bert-seqcls");

    private readonly string _folder = Directory.CreateTempSubdirectory("export-").FullName;

    public static TheoryData<TrainingMethodConfig> Methods => [new FullFineTuningConfig(), new LoraConfig(), new LoraConfig { UseDora = true }, new QloraConfig()];

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [MemberData(nameof(Methods))]
    public void What_was_written_is_the_model(TrainingMethodConfig method)
    {
        using var model = PretrainedConfig.Read(Base).Create(ModelHead.SequenceClassification);
        var weights = method.Prepare(model, ModelHead.SequenceClassification, Base, seed: 1);
        Disturb(model);
        weights.Save(_folder);
        model.train();

        var proof = Verification(model, weights).Prove(_folder);

        Assert.Equal(0, proof.ReadBackError);
        Assert.Equal(method is QloraConfig, proof.OpenedError is null);
        Assert.True(model.training);
    }

    [Fact]
    public void Files_that_are_something_else_are_not_published()
    {
        using var model = PretrainedConfig.Read(Base).Create(ModelHead.SequenceClassification);
        var weights = new FullFineTuningConfig().Prepare(model, ModelHead.SequenceClassification, Base, seed: 1);
        weights.Save(_folder);
        Disturb(model); // The files now hold an earlier state.

        Assert.Throws<InvalidDataException>(() => Verification(model, weights).Prove(_folder));
    }

    private static ExportVerification Verification(PretrainedModel model, TrainedWeights weights)
    {
        var golden = GoldenCase.Read(Base);
        return new(model, ModelHead.SequenceClassification, weights, Base, () => golden.Batches[0].ToBatch(golden.Head, ProblemType.SingleLabelClassification), CPU);
    }

    private static void Disturb(PretrainedModel model)
    {
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        foreach (var parameter in model.parameters().Where(parameter => parameter.requires_grad))
            parameter.add_(0.01);
    }
}
